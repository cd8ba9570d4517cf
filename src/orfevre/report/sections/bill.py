"""The bill: this training run and, if asked for, the larger one, each on its farm; and what the run then took."""

from collections.abc import Callable, Mapping
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Items, Section, Table, Text
from orfevre.report.facts import Facts


def bill(facts: Facts) -> Section:
    head = Section("bill", "The bill", "Bill")
    if (found := facts.bill) is None:
        return Section(head.id, head.title, head.short, missing="plan")
    blocks: list[Block] = [Text(f"Priced before the oven is lit: {'; '.join(map(_hourly, found['runs']))}.")]
    blocks += [_table(found["runs"], "The run", _RUN), _table(found["runs"], "Cost", _COST)]
    if took := _planned_and_taken(facts, found["runs"][0]):
        blocks.append(Text(took))
    blocks.append(_table(found["runs"], "Memory of one accelerator", _MEMORY))
    if any(run.get("wrong_mix") for run in found["runs"]):
        blocks.append(_table(found["runs"], "What the natural mixture would add for the same loss", _WRONG))
        texts = dict.fromkeys((run.get("wrong_mix") or {}).get("text") or "" for run in found["runs"])
        blocks += [Text(words.sentence(text)) for text in texts if text]
    if found["warnings"]:
        blocks.append(Items("Warnings", found["warnings"], "warning"))
    if found.get("notes"):
        blocks.append(Items("Notes", found["notes"]))
    if found["assumptions"]:
        blocks.append(Items("Assumptions", found["assumptions"]))
    return Section(head.id, head.title, head.short, blocks)


def _farm(run: Mapping[str, Any]) -> str:
    return f"{words.count(run['farm']['count'])} × {run['farm']['gpu']}"


def _hourly(run: Mapping[str, Any]) -> str:
    """What an hour of one of the farm's accelerators costs, and why."""
    farm = run["farm"]
    hour = words.euros(farm["euros_per_gpu_hour"])
    return f"{run['name']} on {_farm(run)}, where an hour of one costs {hour} ({farm['cost']})"


def _planned_and_taken(facts: Facts, run: Mapping[str, Any]) -> str:
    """The plan's hours beside the train stage's; empty before training, or when another run than the priced was made.

    The plan knows its farm only; the manifest says what machine trained, and whether they are alike is the reader's.
    """
    if facts.summary is None or (made := facts.manifests.get("train")) is None:
        return ""
    if facts.summary["tokens"] != run["tokens"] or facts.recipes["train"]["model"] != facts.recipes["plan"]["model"]:
        return "The training run on this page is not the one that was priced: its model or its tokens differ."
    planned = 3600 * run["hours"]
    ratio = f": {words.digits(made.wall_seconds / planned)} times the plan" if planned else ""
    machine = ", ".join(
        f"{made.machine[key]}{unit}" for key, unit in (("processor", ""), ("cores", " cores")) if key in made.machine
    )
    return (
        f"Planned {words.duration(planned)} on {_farm(run)}; the train stage took {words.duration(made.wall_seconds)} "
        f"on the machine at hand{f' ({machine})' if machine else ''}, validation and checkpoints included{ratio}."
    )


Line = tuple[str, Callable[[dict[str, Any]], str]]


def _table(runs: list[dict[str, Any]], caption: str, lines: list[Line]) -> Table:
    """A column a run, a row a figure: two runs are read side by side, on a phone too."""
    rows = [(label, *(write(run) for run in runs)) for label, write in lines]
    return Table(caption, ("figure", *(run["name"] for run in runs)), rows)


def _memory(part: str) -> Callable[[dict[str, Any]], str]:
    return lambda run: words.memory(run["memory_gib"][part])


def _wrong(key: str, write: Callable[[float | None], str]) -> Callable[[dict[str, Any]], str]:
    return lambda run: write((run.get("wrong_mix") or {}).get(key))


def _spread(key: str, write: Callable[[float | None], str]) -> Callable[[dict[str, Any]], str]:
    return lambda run: words.between((run.get("wrong_mix") or {}).get(key), write)


_RUN: list[Line] = [
    ("parameters", lambda run: words.large(run["parameters"])),
    ("active for one token", lambda run: words.large(run["active_parameters"])),
    ("training tokens", lambda run: words.large(run["tokens"])),
    ("FLOPs for one token", lambda run: words.scientific(run["flops_per_token"])),
    ("FLOPs", lambda run: words.scientific(run["flops"])),
]
_COST: list[Line] = [
    ("farm", _farm),
    ("utilisation expected", lambda run: words.share(run["farm"]["mfu"], 0)),
    ("an hour of one", lambda run: words.euros(run["farm"]["euros_per_gpu_hour"])),
    ("accelerator-hours", lambda run: words.hours(run["gpu_hours"])),
    ("wall time", lambda run: words.duration(None if run["hours"] is None else 3600 * run["hours"])),
    ("cost", lambda run: words.euros(run["euros"])),
    ("energy", lambda run: words.energy(run["kwh"])),
    ("carbon dioxide", lambda run: words.mass(run["co2_kg"])),
]
_MEMORY: list[Line] = [
    *((part, _memory(part)) for part in ("weights", "gradients", "optimiser", "activations", "total", "available")),
    ("fits", lambda run: "yes" if run["fits"] else "no"),
]
_WRONG: list[Line] = [
    ("compute, all told", _wrong("compute_ratio", words.times)),
    ("interval", _spread("interval", words.times)),
    ("more accelerator-hours", _wrong("gpu_hours", words.hours)),
    ("interval", _spread("gpu_hours_interval", words.hours)),
    ("more cost", _wrong("euros", words.euros)),
    ("interval", _spread("euros_interval", words.euros)),
]
