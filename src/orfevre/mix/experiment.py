"""What the mix stage trains before it chooses: the design, batches where the best may be, a ladder of larger sizes.

design.json holds every run as soon as it is decided, so that an attempt that was killed goes on with the same ones:
another processor may round a surrogate otherwise, and would ask for other mixtures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orfevre import artifact
from orfevre.mix import batches, choice, ladder, optimum, proxies
from orfevre.mix.choice import Problem
from orfevre.mix.gp import Array
from orfevre.mix.predictor import Predictor
from orfevre.mix.proxies import Bench, Row, Run, Train
from orfevre.mix.surrogate import Surrogate
from orfevre.model import count
from orfevre.recipe import Recipe

DESIGN = "design.json"


@dataclass
class Design:
    """Runs decided so far; written to design.json."""

    runs: list[Run]
    batches: list[dict[str, Any]] = field(default_factory=list)
    """Before each batch and after the last: runs then, within, improvement, stop, and the batch's runs (`next`)."""
    ladder: list[list[Run]] = field(default_factory=list)

    @property
    def proxies(self) -> list[Run]:
        return [*self.runs, *(run for batch in self.batches for run in batch["next"])]


@dataclass(frozen=True)
class Found:
    """What the runs told."""

    design: Design
    rows: list[Row]
    """Proxies, in the order they were decided."""
    fitted: Surrogate
    """Fitted to the proxies."""
    rungs: list[ladder.Rung]
    """From small to large."""
    climbed: list[list[Row]]
    """Rows of each rung."""

    @property
    def told(self) -> Predictor:
        """At the largest size that was run."""
        return self.rungs[-1] if self.rungs else self.fitted


@dataclass(frozen=True)
class Experiment:
    """The runs of one recipe, in one folder."""

    recipe: Recipe
    asked: Problem
    bench: Bench
    out: Path
    train: Train

    def run(self) -> Found:
        """Train what the folder does not hold yet."""
        design = _begun(self.out / DESIGN) or Design(choice.proxy_runs(self.recipe, self.asked))
        self._write(design)
        rows = self._train(design.proxies, self.bench, "proxies")
        fitted = choice.fit(self.asked, rows)
        while not self._enough(design):
            batch = self._decide(design, rows, fitted)
            if batch:
                rows += self._train(batch, self.bench, "proxies")
                fitted = choice.fit(self.asked, rows)
        return self._climb(design, rows, fitted)

    def _enough(self, design: Design) -> bool:
        """Whether the batches are done: none are wanted, or the last assessment asked for no more."""
        return not self.recipe.mix.batches.most or bool(design.batches and not design.batches[-1]["next"])

    def _decide(self, design: Design, rows: Sequence[Row], fitted: Surrogate) -> list[Run]:
        """The next batch, noted in design.json; none where enough is known or as many batches as allowed were run."""
        recipe, asked = self.recipe, self.asked
        settings = recipe.mix.batches
        stakes = batches.Stakes(run_flops(recipe, self.bench), rows[0]["flops"], asked.ceilings)
        found = batches.next_batch(
            fitted, asked.limits, asked.weights_of(rows), settings.runs, settings, recipe.seed, stakes
        )
        stop = found.stop
        if not stop and len(design.batches) >= settings.most:
            stop = f"mix.batches.most = {settings.most} batches were run"
        first = len(rows)
        runs = [
            Run(f"b{first + number:03d}", "batch", asked.named(mixture), recipe.seed)
            for number, mixture in enumerate(found.mixtures)
        ]
        noted = {"runs": len(rows), "within": found.within, "improvement": found.improvement, "stop": stop}
        design.batches.append(noted | {"next": [] if stop else runs})
        self._write(design)
        return [] if stop else runs

    def _climb(self, design: Design, rows: list[Row], fitted: Surrogate) -> Found:
        found = Found(design, rows, fitted, [], [])
        for place, rung in enumerate(self.recipe.mix.ladder):
            if len(design.ladder) <= place:
                design.ladder.append(self._calibration(found.told, rows, place))
                self._write(design)
            bench = proxies.bench(self.recipe, self.bench.tokenize, rung.model, rung.training)
            measured = self._train(design.ladder[place], bench, "ladder")
            weights, losses = self.asked.weights_of(measured), self.asked.losses_of(measured)
            found.rungs.append(ladder.climb(found.told, weights, losses))
            found.climbed.append(measured)
        return found

    def _calibration(self, told: Predictor, rows: Sequence[Row], place: int) -> list[Run]:
        asked, recipe = self.asked, self.recipe
        rng = np.random.default_rng([recipe.seed, 6, place])
        best = optimum.minimise(told, asked.limits, choice.best_tried(asked, rows), rng, asked.ceilings)
        wanted: Mapping[str, Array] = {"chosen": best, **asked.rivals}
        mixtures = ladder.calibration(told, asked.limits, wanted, recipe.mix.ladder[place].runs, recipe.seed)
        return [
            Run(f"l{place}-{number:03d}", "ladder", asked.named(mixture), recipe.seed)
            for number, mixture in enumerate(mixtures)
        ]

    def _train(self, runs: Sequence[Run], bench: Bench, label: str) -> list[Row]:
        return proxies.run_missing(
            runs, bench, self.out / f"{label}.jsonl", self.recipe.runner, label, train=self.train
        )

    def _write(self, design: Design) -> None:
        table = {
            "runs": [proxies.described(run) for run in design.runs],
            "batches": [
                batch | {"next": [proxies.described(run) for run in batch["next"]]} for batch in design.batches
            ],
            "ladder": [[proxies.described(run) for run in runs] for runs in design.ladder],
        }
        artifact.write_text(self.out / DESIGN, json.dumps(table, indent=1, allow_nan=False) + "\n")


def run_flops(recipe: Recipe, bench: Bench) -> float:
    """Of the target run."""
    vocab_size = recipe.model.vocab_size or proxies.vocab_size(bench)
    return count.flops_per_token(recipe.model, vocab_size, recipe.train.sequence_length) * recipe.train.tokens


def _begun(path: Path) -> Design | None:
    """What an earlier attempt had decided. The folder was made for this very recipe (artifact.begin)."""
    if not path.exists():
        return None
    table = json.loads(path.read_text(encoding="utf-8"))
    return Design(
        [_run(row) for row in table["runs"]],
        [batch | {"next": [_run(row) for row in batch["next"]]} for batch in table["batches"]],
        [[_run(row) for row in runs] for runs in table["ladder"]],
    )


def _run(row: Row) -> Run:
    return Run(row["run"], row["kind"], row["weights"], row["seed"])
