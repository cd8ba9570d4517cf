"""Numbers as people read them: units, digits that carry meaning, intervals. A null is an em dash."""

from collections.abc import Sequence

NONE = "—"
NARROW = "\u202f"
"""Narrow no-break space: between a number and its unit, and between thousands."""

_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(number: float | None) -> str:
    """1234567 -> 1 234 567 (narrow spaces)."""
    return NONE if number is None else f"{round(number):,}".replace(",", NARROW)


def amount(number: float | None, unit: str) -> str:
    """12345678 bytes -> 12.3 MB; three significant digits, prefixes from k to P."""
    if number is None:
        return NONE
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * scale:
            return f"{digits(number / scale)}{NARROW}{prefix}{unit}"
    return f"{digits(number)}{NARROW}{unit}".rstrip()


def digits(number: float | None, significant: int = 3) -> str:
    """Significant digits: 1234 -> 1 234, 0.01234 -> 0.0123; below a thousandth 4.53 × 10⁻⁷."""
    if number is None:
        return NONE
    if number == 0:
        return "0"
    if abs(number) < 1e-3:
        return _powers(number)
    decimals = significant - 1 - int(f"{number:.{significant - 1}e}".split("e")[1])
    return f"{number:,.{max(decimals, 0)}f}".replace(",", NARROW).replace("-", "−")


def scientific(number: float | None, unit: str = "") -> str:
    """1.84e15 -> 1.84 × 10¹⁵; below a million plain."""
    if number is None:
        return NONE
    if abs(number) < 1e6:
        return f"{digits(number)}{NARROW}{unit}".rstrip()
    return f"{_powers(number)}{NARROW}{unit}".rstrip()


def _powers(number: float) -> str:
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}{NARROW}×{NARROW}10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")


def large(number: float | None) -> str:
    """Parameters and tokens as they are spoken of: 46702792704 -> 46.7 billion; below a million in full."""
    if number is None or abs(number) < 1e6:
        return count(number)
    scale, name = next(step for step in _LARGE if abs(number) >= 0.9995 * step[0])
    return f"{digits(number / scale)}{NARROW}{name}"


def hours(number: float | None) -> str:
    if number is None:
        return NONE
    return f"{count(number) if abs(number) >= 1e3 else digits(number)}{NARROW}h"


def share(fraction: float | None, decimals: int = 1) -> str:
    return NONE if fraction is None else f"{100 * fraction:.{decimals}f}{NARROW}%".replace("-", "−")


def loss(value: float | None, signed: bool = False) -> str:
    """Bits per byte, four decimals: seeds differ in the third."""
    return NONE if value is None else f"{value:{'+' if signed else ''}.4f}".replace("-", "−")


def times(ratio: float | None) -> str:
    return NONE if ratio is None else f"{ratio:.2f}{NARROW}×"


def euros(value: float | None) -> str:
    """Cents below a thousand, then whole euros, then millions."""
    if value is None:
        return NONE
    if abs(value) >= 1e6:
        return f"€{NARROW}{digits(value / 1e6)}{NARROW}M"
    if abs(value) >= 1e3:
        return f"€{NARROW}{count(value)}".replace("-", "−")
    if abs(value) >= 1 or value == 0:
        return f"€{NARROW}{value:.2f}".replace("-", "−")
    return f"€{NARROW}{digits(value, 2)}" if abs(value) >= 0.01 else f"under €{NARROW}0.01"


def energy(kwh: float | None) -> str:
    return NONE if kwh is None else amount(1e3 * kwh, "Wh")


def memory(gib: float | None) -> str:
    """GiB, or the smaller binary unit that keeps a digit before the point."""
    if gib is None:
        return NONE
    for scale, unit in ((1.0, "GiB"), (2.0**-10, "MiB")):
        if abs(gib) >= 0.9995 * scale:
            return f"{digits(gib / scale)}{NARROW}{unit}"
    return f"{digits(gib * 2**20)}{NARROW}KiB"


def mass(kilograms: float | None) -> str:
    if kilograms is None:
        return NONE
    return f"{digits(kilograms / 1e3)}{NARROW}t" if abs(kilograms) >= 1e3 else amount(1e3 * kilograms, "g")


def duration(seconds: float | None) -> str:
    """Two units at most: 41.0 s, 6 min 42 s, 3 h 05 min, 12 d 4 h."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f}{NARROW}s" if seconds >= 0.1 or seconds == 0 else f"{digits(seconds, 2)}{NARROW}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return f"{minutes}{NARROW}min {rest:02d}{NARROW}s"
    days, hours_left = divmod(hours, 24)
    if not days:
        return f"{hours}{NARROW}h {minutes_left:02d}{NARROW}min"
    return f"{count(days)}{NARROW}d {hours_left}{NARROW}h"


def between(interval: Sequence[float | None] | None, write: object = None) -> str:
    """An interval, both ends written by `write` (default `loss`); an end that could not be had is a dash."""
    if interval is None:
        return NONE
    low, high = (write(end) if callable(write) else loss(end) for end in interval)
    return f"{low} to {high}"


def listing(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def reason(name: str) -> str:
    """near_duplicate -> near duplicate."""
    return name.replace("_", " ")


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def sentence(text: str) -> str:
    """Begins with a capital, ends with a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
