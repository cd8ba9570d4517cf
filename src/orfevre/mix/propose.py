"""`orfevre design`: mixtures to run next, for teams that train elsewhere. CSV in, CSV out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orfevre import artifact, console
from orfevre.errors import InputError
from orfevre.mix import batches, elsewhere, objective, scales, surrogate, table
from orfevre.mix.batches import Batch, Stakes
from orfevre.mix.design import design, farthest_first
from orfevre.mix.elsewhere import cells, csv_text
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.table import WEIGHT, Mixtures, read_mixtures, read_runs
from orfevre.recipe import Batches, load_objective


@dataclass(frozen=True)
class Told:
    """What measured runs say, and what is asked of a mixture."""

    fitted: surrogate.Surrogate
    tried: Array
    """[n, S]."""
    sources: tuple[str, ...]
    limits: Limits
    stakes: Stakes


def propose(sources: Sequence[str], natural: Mapping[str, float], count: int, out: Path, seed: int) -> None:
    """Write `count` mixtures of `sources` to run: natural (uniform where not given), uniform, then far from each other;
    and two repeats of each of those two with other seeds, which measure the noise."""
    if len(set(sources)) < 2 or len(set(sources)) != len(sources):
        raise InputError(f"--sources {','.join(sources)}: name two or more different sources, separated by commas")
    size = len(sources)
    uniform = np.full(size, 1 / size)
    shares = _natural(sources, natural) if natural else uniform
    free = Limits(tuple(sources), np.zeros(size), np.ones(size))
    mixtures = design(shares, uniform, free, count, seed)
    repeated = [row for row in (0, 1) if row < len(mixtures)]
    rows = [(f"p{place:03d}", seed, mixture) for place, mixture in enumerate(mixtures)]
    rows += [
        (f"r{place:03d}", seed + 1 + place // 2, mixtures[repeated[place % len(repeated)]])
        for place in range(2 * len(repeated))
    ]
    header = ["run", "seed", *(WEIGHT + name for name in sources)]
    artifact.write_text(out, csv_text(header, [[run, one, *cells(mixture)] for run, one, mixture in rows]))
    console.result(str(out))


def choose(pool_path: Path, count: int, out: Path, done: Path | None, objective_path: Path | None, seed: int) -> None:
    """Write the `count` mixtures of a pool that are worth running next.

    After runs whose losses are in `done`: those that are expected to win most together. Otherwise those farthest from
    each other and from what `done` holds.
    """
    pool = read_mixtures(pool_path)
    for note in pool.notes:
        console.say(note)
    if count > len(pool.weights):
        raise InputError(f"{pool_path}: holds {len(pool.weights)} mixtures, --runs asks for {count}; ask for fewer")
    if done is not None and table.has_losses(done):
        rows = _expected_to_win(pool_path, pool, count, _told(done, objective_path), seed)
    elif objective_path is not None:
        raise InputError(f"{done}: has no loss.<target> columns, so that --optimise has nothing to go by; leave it out")
    else:
        rows = _far(pool, count, None if done is None else read_mixtures(done, pool.sources).weights)
    artifact.write_text(out, csv_text(pool.header, [pool.cells[row] for row in rows]))
    console.result(str(out))


def follow(runs_path: Path, count: int, out: Path, objective_path: Path | None, seed: int) -> None:
    """Write the `count` mixtures that are expected to win most together after the runs, within the objective's limits
    (none where there is no objective, and then all losses weigh alike)."""
    told = _told(runs_path, objective_path)
    found = batches.next_batch(told.fitted, told.limits, told.tried, count, Batches(), seed, told.stakes)
    _say(found)
    first = len(told.tried)
    header = ["run", "seed", *(WEIGHT + name for name in told.sources)]
    rows = [[f"b{first + place:03d}", seed, *cells(mixture)] for place, mixture in enumerate(found.mixtures)]
    artifact.write_text(out, csv_text(header, rows))
    console.result(str(out))


def _told(runs_path: Path, objective_path: Path | None) -> Told:
    """The fit to the scale with the most runs. Raises InputError for a bad table, RecipeError for a bad objective."""
    asked = None if objective_path is None else load_objective(objective_path)
    runs = read_runs(runs_path)
    for note in runs.mixtures.notes:
        console.say(note)
    base, _ = scales.steps(runs, None, runs_path)
    sources, target = runs.mixtures.sources, elsewhere.even(runs)
    limits, ceilings = Limits(sources, np.zeros(len(sources)), np.ones(len(sources))), None
    if asked is not None and objective_path is not None:
        target = objective.target_of(objective_path, asked, runs.targets)
        _, limits = objective.limits_of(objective_path, asked, sources)
        ceilings = objective.ceilings_of(objective_path, asked, runs.targets)
    fitted = surrogate.fit(runs.weights[base], runs.losses[base], target)
    return Told(fitted, runs.weights[base], sources, limits, Stakes(ceilings=ceilings))


def _expected_to_win(path: Path, pool: Mixtures, count: int, told: Told, seed: int) -> list[int]:
    """Rows of the pool that keep the limits and win most together."""
    weights = read_mixtures(path, told.sources).weights
    allowed = np.flatnonzero([told.limits.contains(mixture) for mixture in weights])
    if len(allowed) < count:
        raise InputError(
            f"{path}: {len(allowed)} of its {len(weights)} mixtures keep the limits, --runs asks for {count}; ask for "
            "fewer or loosen a limit"
        )
    settings, rng = Batches(runs=count), np.random.default_rng([seed, 3, len(told.tried)])
    found = batches.choose(told.fitted, told.limits, weights[allowed], told.tried, settings, rng, told.stakes)
    _say(found)
    return [int(allowed[place]) for place in found.places]


def _far(pool: Mixtures, count: int, done: Array | None) -> list[int]:
    """Rows of the pool farthest from each other and from those done; the first in the middle where none are."""
    roots = np.sqrt(pool.weights)
    if done is not None:
        chosen = farthest_first(np.vstack([done, pool.weights]), len(done) + count, fixed=len(done))
        return [row - len(done) for row in chosen[len(done) :]]
    middle = int(np.argmin(np.sum((roots - roots.mean(axis=0)) ** 2, axis=1)))
    order = [middle, *(row for row in range(len(roots)) if row != middle)]
    return [order[row] for row in farthest_first(pool.weights[order], count)]


def _say(found: Batch) -> None:
    settings = Batches()
    console.say(
        f"the best mixture told so far is within {settings.epsilon:g} of the best with probability "
        f"{found.within:.0%}; these {len(found.mixtures)} are expected to win {found.improvement:.5f} of the loss"
    )
    if found.stop:
        console.say(f"more runs are not needed: {found.stop}")


def _natural(sources: Sequence[str], natural: Mapping[str, float]) -> Array:
    if set(natural) - set(sources):
        raise InputError(f"--natural names {', '.join(sorted(set(natural) - set(sources)))}, which is not in --sources")
    shares = np.array([natural.get(name, 0.0) for name in sources])
    if np.any(shares < 0) or abs(float(shares.sum()) - 1) > 0.02:
        raise InputError(f"--natural: the shares sum to {shares.sum():g}; they must be 0 or more and sum to 1")
    return np.asarray(shares / shares.sum())
