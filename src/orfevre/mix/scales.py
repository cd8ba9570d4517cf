"""Runs of several scales in one table: which is fitted, which bend it and in what order, and what is said of that.

Shapes: n runs, S sources, J losses.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre import console
from orfevre.errors import InputError
from orfevre.mix import ladder, rank_risk, surrogate
from orfevre.mix.gp import Array
from orfevre.mix.predictor import Predictor
from orfevre.mix.table import FEWEST, Runs

MANY = 16
"""Runs of a scale from which on it may be told by its own runs alone; what tells unseen ones better is taken."""

Scale = tuple[float, float]
"""Parameters and training tokens."""

Rows = NDArray[np.intp]


def steps(runs: Runs, scale: Scale | None, path: Path) -> tuple[Rows, list[Rows]]:
    """Rows of the scale with the most runs, which is fitted; and, in order of compute, rows of each scale from there up
    to the one asked for, which is last. None of these where no other is asked for.

    Raises InputError for a scale of which the table has fewer than two runs.
    """
    kinds, owner, counts = np.unique(runs.scales, axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)
    most = int(np.argmax(counts))
    if len(kinds) > 1:
        every = zip(kinds, counts, strict=True)
        console.say("scales: " + ", ".join(f"{count} runs of {named(kind)}" for kind, count in every))
    base = np.flatnonzero(owner == most)
    wanted = most if scale is None else _place(kinds, scale, path)
    if wanted == most:
        return base, []
    if counts[wanted] < ladder.FEWEST:
        raise InputError(f"{path}: one run of {named(kinds[wanted])}; two to eight of them tell how losses change")
    compute = kinds[:, 0] * kinds[:, 1]
    between = [
        place
        for place in np.argsort(compute, kind="stable").tolist()
        if compute[most] < compute[place] < compute[wanted] and counts[place] >= ladder.FEWEST
    ]
    return base, [np.flatnonzero(owner == place) for place in (*between, wanted)]


def told(runs: Runs, small: surrogate.Surrogate, larger: Sequence[Rows]) -> tuple[Predictor, list[ladder.Rung]]:
    """What tells losses of the last scale of `larger`, and the rungs up to it; each is said with its slopes.

    Where that scale has MANY runs of its own, a surrogate of these alone is fitted too, and the one is taken that tells
    them better, each without itself.
    """
    rungs: list[ladder.Rung] = []
    below: Predictor = small
    for rows in larger:
        rungs.append(ladder.climb(below, runs.weights[rows], runs.losses[rows]))
        _say_rung(runs, rungs[-1], rows)
        below = rungs[-1]
    if rungs and len(larger[-1]) >= MANY:
        below = _better(runs, rungs[-1], larger[-1])
    return below, rungs


def say_risk(risks: Mapping[str, float], chosen: str) -> None:
    """How likely each rival is in truth better, in words."""
    for name, risk in risks.items():
        chance = "less than 1 %" if risk < 0.01 else f"{100 * risk:.0f} %"
        console.say(f"{name} is in truth better than {chosen} with a probability of {chance}")


def named(scale: Array) -> str:
    return f"{scale[0]:,.0f} parameters on {scale[1]:,.0f} tokens"


def _place(kinds: Array, scale: Scale, path: Path) -> int:
    found = np.flatnonzero(np.all(kinds == np.array(scale), axis=1))
    if not len(found):
        there = ", ".join(named(kind) for kind in kinds) if kinds.any() else "no num_params and num_tokens at all"
        raise InputError(
            f"{path}: no run of {named(np.array(scale))}; it has {there}. Train four to eight mixtures at that scale "
            "(`orfevre design`) and add them, or leave --num-params and --num-tokens out"
        )
    return int(found[0])


def _say_rung(runs: Runs, rung: ladder.Rung, rows: Rows) -> None:
    weights, losses = runs.weights[rows], runs.losses[rows]
    table = rank_risk.rung_table(rung, runs.targets, weights, losses, 0.9)
    lines = []
    for name in runs.targets:
        (low, high), rank = table["intervals"][name], table["spearmans"][name]
        lines.append((
            name, f"{table['slopes'][name]:.2f}", f"{low:.2f} to {high:.2f}", "none" if rank is None else f"{rank:.2f}"
        ))  # fmt: skip
    console.say(
        f"bent to {named(runs.scales[rows[0]])} by {rung.count} runs there. A loss that moves by 1 at the scale below "
        "moves by its slope here. Spearman: of these runs, each told without itself"
    )
    console.table(("target", "slope", "90% interval", "spearman"), lines)
    if table["error"] is not None:
        rank = table["spearman"]
        ranked = "" if rank is None else f", spearman {rank:.2f}"
        console.say(f"the target loss of these runs, each told without itself: error {table['error']:.4f}{ranked}")


def _better(runs: Runs, rung: ladder.Rung, rows: Rows) -> Predictor:
    """The rung, or a surrogate of the scale's own runs [n, S] where that tells them better."""
    weights, losses = runs.weights[rows], runs.losses[rows]
    if len(surrogate.same_mixture(weights)) < FEWEST or np.any(np.ptp(losses, axis=0) == 0):
        return rung
    own = surrogate.fit(weights, losses, rung.target)
    alone = np.stack([one.told for one in own.stacks], axis=1)
    bent = rank_risk.without_each(rung, weights, losses, own.folds)
    errors = [float(np.mean(np.log(np.mean((one - losses) ** 2, axis=0) + 1e-300))) for one in (alone, bent)]
    taken = errors[0] < errors[1]
    console.say(
        f"{named(runs.scales[rows[0]])} has {len(rows)} runs: told by these alone, unseen ones are missed by "
        f"{np.exp((errors[0] - errors[1]) / 2):.2f} times as much as when bent from below, so "
        f"{'these alone are believed' if taken else 'the bent fit is kept'}"
    )
    return own if taken else rung
