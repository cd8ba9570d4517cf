"""mixture.json of the stage itself has the shape of the synthetic run's, and the report draws it whole."""

import json
import sys
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orfevre import metrics
from orfevre.mix import stage
from orfevre.report.blocks import Plot
from orfevre.report.build import draw
from orfevre.report.facts import gather
from orfevre.report.sections import check, headline, mixture, scales, surrogate

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "mix"))
import law
import synthetic_run

SHAPE = {"hidden_size": 96, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 192, "num_experts": 4}
LARGER = {"model": SHAPE, "training": {"tokens": 200_000}}
EVERYTHING = {
    "num_proxies": 12, "batches": {"most": 1, "runs": 2, "epsilon": 1e-6}, "ladder": [LARGER | {"runs": 4}],
    "check": LARGER | {"seeds": 2}, "baselines": {"by_hand": {"code": 0.5, "docs": 0.2, "web": 0.3}},
    "pareto": ["code", "books"], "min_weights": {"books": 0.1},
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage's folder, every optional part asked for, on a known law in place of training."""
    folder = tmp_path_factory.mktemp("real")
    tokenize, out = law.tokenize_folder(folder / "tokenize"), folder / "mix"
    out.mkdir()
    stage.run_with(law.make_recipe(**EVERYTHING), {"tokenize": tokenize}, out, law.train_at_size)
    return out


def shape(value: Any, names: Set[str]) -> Any:
    """What a value is made of: names of sources, mixtures and groups become one, a list is what its first item is."""
    if isinstance(value, Mapping):
        return {("a name" if key in names else key): shape(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item, names) for item in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(a: Any, b: Any, at: str = "") -> list[str]:
    """Where two shapes differ; what one of them lacks (None, an empty list or table) differs from nothing."""
    if a in ("NoneType", [], {}) or b in ("NoneType", [], {}):
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        missing = [f"{at}.{key}" for key in a.keys() ^ b.keys()]
        return missing + [line for key in a.keys() & b.keys() for line in differences(a[key], b[key], f"{at}.{key}")]
    if isinstance(a, list) and isinstance(b, list):
        return differences(a[0], b[0], f"{at}[]")
    return [] if a == b else [f"{at}: {a} and {b}"]


def named(table: Mapping[str, Any]) -> set[str]:
    return {*table["sources"], *table["arms"], *table["groups"]}


def test_the_synthetic_run_has_the_shape_of_a_real_one(real: Path, tmp_path: Path) -> None:
    found = json.loads((real / "mixture.json").read_text())
    made = gather(synthetic_run.make(tmp_path, synthetic_run.STAGES[:3], documents=4)).mixture
    assert made is not None
    assert not differences(shape(found, named(found)), shape(made, named(made)))


def test_the_report_draws_every_part_of_a_real_one(real: Path, tmp_path: Path) -> None:
    facts = replace(
        gather(synthetic_run.make(tmp_path, synthetic_run.STAGES[:3], documents=4)),
        mixture=json.loads((real / "mixture.json").read_text()), proxies=metrics.read(real / "proxies.jsonl"),
        checks=metrics.read(real / "checks.jsonl"),
    )  # fmt: skip
    sections = [make(facts) for make in (mixture.chosen, surrogate.trust, scales.scales, check.check, check.price)]
    drawn = draw(block for section in sections for block in section.blocks if isinstance(block, Plot))
    assert set(drawn) == {
        "mixture", "sensitivity", "front", "surrogate", "slices", "ternary", "learning", "batches", "ladder", "slopes",
        "gains", "check", "price",
    }  # fmt: skip
    assert "by_hand" in headline.headline(facts).lead
