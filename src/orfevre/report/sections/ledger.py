"""What the manifests add up to: the journey's timeline, the ledger, and what is needed to make it all again."""

import json
from functools import partial

from orfevre.ledger import total
from orfevre.report import words
from orfevre.report.blocks import Block, Code, Plot, Section, Table, Text
from orfevre.report.facts import STAGES, Facts
from orfevre.report.plots import journey


def timeline(facts: Facts) -> Section:
    head = Section("journey", "The journey", "Journey")
    if not facts.manifests:
        return Section(head.id, head.title, head.short, missing="curate")
    made = facts.manifests
    times = [f"{stage} {words.duration(manifest.wall_seconds)}" for stage, manifest in made.items()]
    plot = Plot("journey", "Wall time, energy and FLOPs of each stage", f"Wall time: {words.listing(times)}.",
                partial(journey.timeline, made))  # fmt: skip
    rows = []
    for stage in STAGES:
        if stage not in made:
            rows.append((stage, "not finished", *[words.NONE] * 5))
            continue
        manifest = made[stage]
        rows.append((
            stage, manifest.created[:16].replace("T", " "), words.count(manifest.attempts),
            words.duration(manifest.wall_seconds), words.energy(manifest.energy_kwh), words.scientific(manifest.flops),
            words.memory(manifest.peak_memory_mib / 1024),
        ))  # fmt: skip
    summed = total(made.values())
    sums = (
        "all", "", words.count(sum(manifest.attempts for manifest in made.values())),
        words.duration(summed.wall_seconds), words.energy(summed.energy_kwh), words.scientific(summed.flops), "",
    )  # fmt: skip
    columns = ("stage", "finished (UTC)", "attempts", "wall time", "energy", "FLOPs", "peak memory")
    return Section(head.id, head.title, head.short, [plot, Table("What each stage took", columns, rows, 2, sums)])


def ledger(facts: Facts) -> Section:
    head = Section("ledger", "The ledger", "Ledger")
    if not facts.manifests:
        return Section(head.id, head.title, head.short, missing="curate")
    made = list(facts.manifests.values())
    summed = total(made)
    lead = (
        f"{len(made)} stages took {words.duration(summed.wall_seconds)}, {words.energy(summed.energy_kwh)} and "
        f"{words.scientific(summed.flops, 'FLOP')} on this machine."
    )
    methods = sorted({manifest.energy_method for manifest in made if manifest.energy_method})
    machines = {json.dumps(manifest.machine, sort_keys=True): manifest.machine for manifest in made}
    rows = [(_label(key), value) for machine in machines.values() for key, value in machine.items()]
    rows += [("energy method", method) for method in methods]
    blocks: list[Block] = [Text(lead), Table("Machine and method", ("what", "value"), rows, words=2)]
    counts = [(stage, _label(key), words.count(value))
              for stage, manifest in facts.manifests.items() for key, value in manifest.counts.items()]  # fmt: skip
    if counts:
        blocks.append(Table("What was counted", ("stage", "count", "number"), counts, words=2))
    notes = [(stage, _label(key), value)
             for stage, manifest in facts.manifests.items() for key, value in manifest.notes.items()]  # fmt: skip
    if notes:
        blocks.append(Table("Notes", ("stage", "about", "note"), notes, words=3))
    return Section(head.id, head.title, head.short, blocks)


def reproducibility(facts: Facts) -> Section:
    head = Section("reproducibility", "Reproducibility", "Reproduce")
    if not facts.manifests:
        return Section(head.id, head.title, head.short, missing="curate")
    rows = [
        (stage, manifest.fingerprint[:16], manifest.digest()[:16], manifest.code, manifest.orfevre, str(manifest.seed))
        for stage, manifest in facts.manifests.items()
    ]
    columns = ("stage", "fingerprint", "content digest", "code digest", "orfevre", "seed")
    blocks: list[Block] = [
        Text("Equal fingerprints mean: made from the same part of the recipe, the same inputs and the same seed. Equal "
             "content digests mean: the same bytes. First 16 digits; the manifests have them all."),
        Table("Fingerprints", columns, rows, words=5),
    ]  # fmt: skip
    codes = sorted({manifest.code for manifest in facts.manifests.values()})
    if len(codes) > 1:
        blocks.append(
            Text(f"These stages were made by {len(codes)} states of the code: {words.listing(codes)}.", "warning")
        )
    blocks.append(Code(json.dumps(facts.recipe, indent=2, ensure_ascii=False), "The recipe, resolved (JSON)"))
    return Section(head.id, head.title, head.short, blocks)


def _label(key: str) -> str:
    return key.replace("_", " ").replace("gib", "(GiB)")
