"""The mixture's part of the page: every arm, every size, every optional block; and pictures whose words are whole."""

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts, gather
from orfevre.report.plots import arms, drawing, ternary
from orfevre.report.sections import check, headline, mixture, scales, surrogate

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

SECTIONS = (mixture.chosen, surrogate.trust, scales.scales, check.check, check.price)
OPTIONAL = {"front", "batches", "ladder", "slopes"}


@pytest.fixture(scope="module", params=["plain", "full", "wide"])
def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return made(tmp_path_factory, request.param)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return made(tmp_path_factory, "full")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return made(tmp_path_factory, "plain")


def made(factory: pytest.TempPathFactory, variant: str) -> Facts:
    folder = factory.mktemp(variant)
    return gather(synthetic_run.make(folder, synthetic_run.STAGES[:3], documents=4, variant=variant))


def blocks(facts: Facts) -> list[Block]:
    return [block for section in SECTIONS for block in section(facts).blocks]


def said(section: Section) -> str:
    return "\n".join(block.text for block in section.blocks if isinstance(block, Text))


def table(section: Section, caption: str) -> Table:
    return next(one for one in section.blocks if isinstance(one, Table) and one.caption.startswith(caption))


def changed(facts: Facts, **changes: Any) -> Facts:
    assert facts.mixture is not None
    return replace(facts, mixture=copy.deepcopy(dict(facts.mixture)) | changes)


def test_no_table_is_empty_and_every_row_has_all_its_cells(facts: Facts) -> None:
    for block in blocks(facts):
        if isinstance(block, Table):
            assert block.rows, block.caption
            assert {len(row) for row in block.rows} == {len(block.columns)}, block.caption


def test_every_picture_has_a_name_of_its_own_and_says_what_is_on_it(facts: Facts) -> None:
    plots = [block for block in blocks(facts) if isinstance(block, Plot)]
    assert len({plot.name for plot in plots}) == len(plots)
    assert all(plot.title and plot.alt.endswith((".", "compute")) for plot in plots)


def test_tables_fit_on_paper_with_sixteen_sources(facts: Facts) -> None:
    assert max(len(block.columns) for block in blocks(facts) if isinstance(block, Table)) <= 14


def test_what_was_not_asked_for_leaves_no_trace(plain: Facts, full: Facts) -> None:
    shown = [{block.name for block in blocks(one) if isinstance(block, Plot)} for one in (plain, full)]
    assert not shown[0] & OPTIONAL and shown[1] >= OPTIONAL
    assert "No larger size was asked for" in said(scales.scales(plain))
    for facts, named in ((plain, False), (full, True)):
        assert ("batches" in str(table(scales.scales(facts), "The size behind").rows)) == named
    nothing = changed(full, ladder=None, pareto=None, batches=[], learning=[], ternary=None, slices={})
    left = {block.name for block in blocks(nothing) if isinstance(block, Plot)}
    assert not left & (OPTIONAL | {"ternary", "learning", "slices"})


def test_words_of_every_picture_lie_within_it(facts: Facts) -> None:
    """At both widths: nothing is clipped, whatever the names and however many."""
    with drawing.style():
        for plot in (block for block in blocks(facts) if isinstance(block, Plot)):
            for narrow in (False, True):
                drawn = plot.draw(narrow)
                canvas = FigureCanvasAgg(drawn)
                canvas.draw()
                box, (width, height) = drawn.get_tightbbox(canvas.get_renderer()), drawn.get_size_inches()
                slack = 0.02  # inches; a pixel and a half
                assert box.x0 > -slack and box.x1 < width + slack, (plot.name, narrow, box)
                assert box.y0 > -slack and box.y1 < height + slack, (plot.name, narrow, box)


def test_arms_are_told_apart_without_colour() -> None:
    found = arms.looks(["chosen", "natural", "uniform", "a", "b", "c", "d", "e"])
    assert len({look.marker for look in found.values()}) == 8
    assert len({look.colour for look in found.values()}) == 8
    assert list(arms.looks(["chosen", "natural", "uniform", *map(str, range(40))]))[-1] == "39"


def test_every_rival_has_its_gain_and_what_it_means(full: Facts) -> None:
    assert full.mixture is not None
    verdict = copy.deepcopy(full.mixture["verdict"])
    ends = {"natural": [0.01, 0.03], "uniform": [-0.03, -0.01], "by_hand": [-0.01, 0.02], "half_code": [None, None]}
    verdict["against"] = {arm: {"gain": 0.01, "interval": interval} for arm, interval in ends.items()}
    rows = table(check.check(changed(full, verdict=verdict)), "Gain over each mixture").rows
    assert [(row[0], row[1]) for row in rows] == [
        ("natural", "wins"), ("uniform", "loses"), ("by_hand", "cannot be told apart"),
        ("half_code", "cannot be told apart"),
    ]  # fmt: skip
    assert headline.headline(changed(full, verdict=verdict)).title == "The chosen mixture loses to uniform"


def test_a_hand_made_mixture_that_wins_is_not_passed_over(full: Facts) -> None:
    assert full.mixture is not None
    verdict = copy.deepcopy(full.mixture["verdict"]) | {"wins": True}
    verdict["against"]["by_hand"] = {"gain": -0.02, "interval": [-0.03, -0.01]}
    assert headline.headline(changed(full, verdict=verdict)).title == "The chosen mixture loses to by_hand"


def test_losses_of_two_sizes_are_not_set_side_by_side(full: Facts) -> None:
    assert full.mixture is not None
    same = check.check(full)
    assert "held" in table(same, "Measured beside predicted").columns
    other = check.check(changed(full, scales=full.mixture["scales"] | {"predicted": "proxies"}))
    assert table(other, "Measured target loss").columns == ["mixture", "measured", "interval"]
    assert "losses of two sizes cannot be set side by side" in said(other)


def test_each_number_stands_beside_the_size_it_was_had_at(full: Facts) -> None:
    sizes = {row[1]: row[2:] for row in table(scales.scales(full), "The size behind each number").rows}
    proxies, larger = ("210\u202f000", "1.00\u202fmillion"), ("840\u202f000", "4.00\u202fmillion")
    assert sizes["proxies, out of fold"] == proxies and sizes["predicted, bent at rung 1"] == larger
    assert sizes["measured"] == sizes["measured, over several budgets"] == larger


@pytest.mark.parametrize(
    ("risk", "told"), [(0.0, "under 0.1 %"), (0.004, "0.4 %"), (0.04, "4.0 %"), (0.31, "31 %"), (1.0, "over 99.9 %")]
)
def test_the_risk_of_another_order_is_told_in_plain_words(risk: float, told: str, full: Facts) -> None:
    assert full.mixture is not None
    ladder = full.mixture["ladder"] | {"rank_risk": {"rivals": {"natural": risk}}}
    text = said(scales.scales(changed(full, ladder=ladder))).replace(words.NARROW, " ")
    assert f"natural is in truth better with {told}" in text


@pytest.mark.parametrize(
    ("ratio", "interval", "told"),
    [
        (1.42, [1.2, 1.7], "worth as much as 42 % more compute, between 20 % more and 70 % more"),
        (1.42, None, "worth as much as 42 % more compute ("),
        (0.9, [0.8, 1.1], "gets there with 10 % less compute, between 20 % less and 10 % more"),
        (1.42, [1.2, None], "between 20 % more and —"),
    ],
)
def test_the_gain_is_told_in_compute(ratio: float, interval: Any, told: str, full: Facts) -> None:
    assert full.mixture is not None
    price = full.mixture["price"] | {"compute_ratio": ratio, "interval": interval}
    assert told in said(check.price(changed(full, price=price))).replace(words.NARROW, " ")


def test_without_a_price_nothing_is_said_of_compute(full: Facts) -> None:
    assert full.mixture is not None
    price = full.mixture["price"] | {"compute_ratio": None, "interval": None, "text": "there is none"}
    assert said(check.price(changed(full, price=price))) == "There is none."


def test_a_hand_made_mixture_has_no_share_of_what_it_does_not_name(full: Facts) -> None:
    assert full.mixture is not None
    found = full.mixture | {"baselines": {"by_hand": {"code": 1.0}}}
    assert arms.weights_of(found, "by_hand") == {"code": 1.0, "docs": 0.0, "prose": 0.0, "web": 0.0}


def test_the_triangle_is_filled_and_its_corners_are_single_sources(plain: Facts) -> None:
    assert plain.mixture is not None
    points = [[i / 15, j / 15, (15 - i - j) / 15] for i in range(16) for j in range(16 - i)]
    whole = {"points": points, "together": 1.0, "steps": 15}
    corners = ternary._places(np.array(points))[ternary._triangles(whole)]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    assert len(corners) == 15**2 and area.sum() == pytest.approx(np.sqrt(3) / 4)
    assert len(ternary._triangles(whole | {"points": points[:-1]})) < 15**2
    np.testing.assert_allclose(ternary._places(np.eye(3)), [[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
    assert ternary._place({"sources": ["code", "docs", "prose"]}, {"web": 1.0}) is None


def test_the_triangles_table_has_the_least_and_the_largest_loss(full: Facts) -> None:
    assert full.mixture is not None
    found = full.mixture["ternary"]
    rows = {row[0]: row for row in table(surrogate.trust(full), "The target loss over three sources").rows}
    assert rows["least loss"][4] == words.loss(min(found["predicted"]))
    assert rows["largest loss"][4] == words.loss(max(found["predicted"]))
    assert "all docs" not in rows  # the synthetic grid leaves that corner out
