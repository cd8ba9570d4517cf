"""The bill's section: each run on its farm, and the plan beside what training took."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orfevre.report import words
from orfevre.report.blocks import Table, Text
from orfevre.report.facts import Facts, gather
from orfevre.report.sections.bill import bill

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

TRAIN_SECONDS = synthetic_run.SECONDS["train"]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return gather(synthetic_run.make(tmp_path_factory.mktemp("run"), synthetic_run.STAGES[:5], documents=12))


def texts(facts: Facts) -> str:
    return "\n".join(block.text for block in bill(facts).blocks if isinstance(block, Text))


def with_plan(facts: Facts, **changes: object) -> Facts:
    assert facts.bill is not None
    first, *others = facts.bill["runs"]
    return replace(facts, bill=facts.bill | {"runs": [first | changes, *others]})


def test_every_run_has_the_farm_it_is_priced_on(facts: Facts) -> None:
    cost = next(block for block in bill(facts).blocks if isinstance(block, Table) and block.caption == "Cost")
    assert ("farm", "1 × H100-SXM", "512 × H100-SXM") in cost.rows
    assert "Mixtral 8x7B on 512 × H100-SXM, where an hour of one costs" in texts(facts)


def test_what_was_planned_stands_beside_what_it_took(facts: Facts) -> None:
    said = texts(with_plan(facts, hours=TRAIN_SECONDS / 3600 / 2))
    planned, took = words.duration(TRAIN_SECONDS / 2), words.duration(TRAIN_SECONDS)
    assert f"Planned {planned} on 1 × H100-SXM; the train stage took {took} on the machine at hand" in said
    assert "included: 2.00 times the plan." in said


def test_another_run_than_the_priced_one_is_not_compared(facts: Facts) -> None:
    said = texts(with_plan(facts, tokens=17))
    assert "is not the one that was priced" in said and "took" not in said


def test_before_training_nothing_is_compared(facts: Facts) -> None:
    said = texts(replace(facts, summary=None, manifests={k: v for k, v in facts.manifests.items() if k != "train"}))
    assert "Planned" not in said and "is not the one" not in said
