"""Learning rates have their exact values; decay spares norms and the embedding."""

import pytest

from orfevre import recipe
from orfevre.engine import optim
from orfevre.engine.build import build


def rates(num_steps: int, **changes: object) -> list[float]:
    section = recipe.Optim(learning_rate=1.0, **changes)  # type: ignore[arg-type]
    return [optim.learning_rate(step, num_steps, section) for step in range(num_steps)]


def test_cosine_warms_up_to_the_peak_and_ends_on_the_final_rate() -> None:
    found = rates(13, warmup_fraction=4 / 13, final_fraction=0.2)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert found[8] == pytest.approx(0.6)  # half way: the mean of peak and final
    assert found[12] == pytest.approx(0.2)
    assert found[4:] == sorted(found[4:], reverse=True)


def test_wsd_holds_the_peak_then_falls_linearly() -> None:
    found = rates(10, schedule="wsd", warmup_fraction=0.2, decay_fraction=0.4, final_fraction=0.0)
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.0])


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_the_shortest_runs_have_rates_within_bounds(schedule: str, num_steps: int) -> None:
    assert all(0 < rate <= 1 for rate in rates(num_steps, schedule=schedule))
    assert all(0 < rate <= 1 for rate in rates(num_steps, schedule=schedule, warmup_fraction=1.0, decay_fraction=1.0))


@pytest.mark.parametrize("tied", [False, True])
def test_decay_falls_on_matrices_but_not_on_the_embedding(tied: bool) -> None:
    model = build(recipe.Model(hidden_size=16, num_heads=2, num_kv_heads=1, num_layers=1, tie_embeddings=tied), 50, 1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = optim.adamw(model, recipe.Optim()).param_groups
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0.0
    inside = {"attention.qkv.weight", "attention.out.weight", "moe.gate.weight", "moe.w13", "moe.w2"}
    wanted = {f"blocks.0.{name}" for name in inside} | (set() if tied else {"output.weight"})
    assert {names[id(parameter)] for parameter in decayed["params"]} == wanted
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
