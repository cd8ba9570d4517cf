"""The bill: this training run and, if asked for, the larger one, on the farm of the recipe."""

from collections.abc import Callable
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Items, Section, Table, Text
from orfevre.report.facts import Facts


def bill(facts: Facts) -> Section:
    head = Section("bill", "The bill", "Bill")
    if (found := facts.bill) is None:
        return Section(head.id, head.title, head.short, missing="plan")
    farm = found["farm"]
    lead = f"Priced on {words.count(farm['count'])} × {farm['gpu']}, before the oven is lit."
    if farm.get("euros_per_gpu_hour") is not None:
        what = f", {farm['cost']}" if farm.get("cost") else ""
        lead += f" An hour of one costs {words.euros(farm['euros_per_gpu_hour'])}{what}."
    blocks: list[Block] = [Text(lead), _table(found["runs"], "The run", _RUN), _table(found["runs"], "Cost", _COST)]
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
    ("accelerator time", lambda run: words.gpu_hours(run["gpu_hours"])),
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
    ("more accelerator time", _wrong("gpu_hours", words.gpu_hours)),
    ("interval", _spread("gpu_hours_interval", words.gpu_hours)),
    ("more cost", _wrong("euros", words.euros)),
    ("interval", _spread("euros_interval", words.euros)),
]
