"""The price of the wrong mix: the proxies' compute ratio, applied to a run's hours and euros."""

from collections.abc import Mapping
from typing import Any

from .bill import Interval, WrongMix


def price(mixture: Mapping[str, Any], gpu_hours: float, euros: float) -> WrongMix:
    """What the natural mixture would need beyond a run of `gpu_hours` and `euros` to end at the same loss.

    With a compute ratio r it needs (r - 1) times the run on top; below 1 it would have been the cheaper one, and
    the figures are negative. A ratio that could not be had stays None.
    """
    found = mixture["price"]
    ratio, ends = found["compute_ratio"], found["interval"]
    interval: Interval | None = None if ends is None else (ends[0], ends[1])
    return WrongMix(
        compute_ratio=ratio,
        interval=interval,
        gpu_hours=_extra(ratio, gpu_hours),
        gpu_hours_interval=_extra_interval(interval, gpu_hours),
        euros=_extra(ratio, euros),
        euros_interval=_extra_interval(interval, euros),
        text=_words(mixture),
    )


def _extra(ratio: float | None, whole: float) -> float | None:
    return None if ratio is None else (ratio - 1) * whole


def _extra_interval(ends: Interval | None, whole: float) -> Interval | None:
    return None if ends is None else (_extra(ends[0], whole), _extra(ends[1], whole))


def _words(mixture: Mapping[str, Any]) -> str:
    scale, found = mixture["scales"]["check"], mixture["price"]
    text = (
        f"Measured in the check runs ({scale['parameters']:,} parameters, {scale['tokens']:,} tokens each) and "
        "assumed to carry over to this run, which nobody has measured."
    )
    return f"{text} {found['text']}".strip()
