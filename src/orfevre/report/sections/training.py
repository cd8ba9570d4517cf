"""The training run, and what came out of it: curves, scores, samples."""

from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Sample, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import training as plots


def training(facts: Facts) -> Section:
    head = Section("training", "Training", "Training")
    if facts.summary is None:
        return Section(head.id, head.title, head.short, missing="train")
    done = facts.summary
    lead = (
        f"{words.count(done['steps'])} steps, {words.count(done['tokens'])} tokens, "
        f"{words.scientific(done['flops'], 'FLOP')}; final loss {words.loss(done['final_loss'])}."
    )
    blocks: list[Block] = [Text(lead)]
    steps = [row for row in facts.metrics if "loss" in row]
    if steps:
        speed = sum(row["tokens_per_second"] for row in steps) / len(steps)
        blocks[0] = Text(f"{lead} {words.count(speed)} tokens per second on average.")
        blocks.append(Plot(
            "training", "Training loss, validation loss and learning rate by step",
            f"Loss from {words.loss(steps[0]['loss'])} at step {steps[0]['step']} to {words.loss(steps[-1]['loss'])} "
            f"at step {steps[-1]['step']}.",
            partial(plots.curves, facts.metrics),
            "The pale line is each step, the strong one a running mean over 5 % of them.",
        ))  # fmt: skip
    blocks.append(_by_source(done))
    return Section(head.id, head.title, head.short, blocks)


def _by_source(done: dict[str, Any]) -> Table:
    rows = [
        (name, words.count(number), words.share(number / done["tokens"]), words.digits(done["epochs"].get(name)))
        for name, number in done["tokens_by_source"].items()
    ]
    return Table("What the training run read", ("source", "tokens", "share", "epochs"), rows)


def scores(facts: Facts) -> Section:
    head = Section("scores", "Scores", "Scores")
    if (found := facts.scores) is None:
        return Section(head.id, head.title, head.short, missing="evaluate")
    rows = [
        (name, words.loss(row["bits_per_byte"]), words.between(row["interval"]), words.count(row["documents"]),
         words.amount(row["bytes"], "B"), words.count(row["tokens"]))
        for name, row in found["sources"].items()
    ]  # fmt: skip
    target = found["target"]
    total = ("target", words.loss(target["bits_per_byte"]), words.between(target["interval"]), "", "", "")
    columns = ("source", "bits per byte", "interval", "documents", "bytes", "tokens")
    blocks: list[Block] = [
        Text(f"Held-out text, with {words.share(found['confidence'], 0)} bootstrap intervals over documents."),
        Plot("scores", "Bits per byte with intervals", f"Target {words.loss(target['bits_per_byte'])}.",
             partial(plots.scores, found)),
        Table("Scores per source", columns, rows, total=total),
    ]  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def samples(facts: Facts) -> Section:
    head = Section("samples", "Samples", "Samples")
    if facts.scores is None:
        return Section(head.id, head.title, head.short, missing="evaluate")
    blocks: list[Block] = [Text("What the model writes; the prompt is set in bold. Nothing was picked or mended.")]
    blocks += [Sample(sample["prompt"], sample["text"]) for sample in facts.scores["samples"]]
    return Section(head.id, head.title, head.short, blocks)
