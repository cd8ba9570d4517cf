"""The page is whole, self-contained, safe against what texts say, and there for any prefix of the journey."""

import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orfevre import ledger
from orfevre.errors import WorkFolderError
from orfevre.report.build import SECTIONS, write
from orfevre.report.facts import gather
from orfevre.report.sections.headline import headline

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

SECTION_IDS = [
    "journey", "sources", "drops", "duplicates", "texts", "contamination", "tokens", "mixture", "surrogate", "scales",
    "check", "price", "training", "experts", "bill", "scores", "samples", "ledger", "reproducibility",
]  # fmt: skip
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def attributes(self, *names: str) -> Iterator[str]:
        for _, attributes in self.tags:
            yield from (value for name in names if (value := attributes.get(name)) is not None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = synthetic_run.make(tmp_path_factory.mktemp("run"), documents=12)
    write(folder)
    return folder


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_is_balanced_html_with_every_section_in_order(page: Page) -> None:
    assert page.open == []
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTION_IDS
    assert len(SECTIONS) == len(SECTION_IDS)


def test_nothing_is_loaded_from_outside(text: str, page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "img", "base"}
    for target in page.attributes("src", "href", "srcset", "action", "poster"):
        assert target.startswith(("#", "magnet:", "data:,"))
    assert "@import" not in text
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)\)", text))


def test_ids_are_unique_and_every_reference_is_met(text: str, page: Page) -> None:
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    pointed = set(re.findall(r"url\(#([^)]+)\)", text)) | {to[1:] for to in page.attributes("href") if to[0] == "#"}
    pointed |= {name for names in page.attributes("aria-labelledby") for name in names.split()}
    assert pointed <= set(ids)


def test_a_sample_that_looks_like_a_script_stays_text(text: str, page: Page) -> None:
    assert "<script" not in text
    assert synthetic_run.SAMPLE in "".join(page.text)


def test_plots_follow_the_page_from_light_to_dark(text: str, run: Path) -> None:
    assert "#0101" not in text
    assert "var(--ink)" in text
    assert text.count('role="img"') == 2 * len(list((run / "plots").glob("*.svg")))


def test_plots_stand_alone(run: Path) -> None:
    files = sorted((run / "plots").glob("*.svg"))
    assert len(files) == 20
    for path in files:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "var(--" not in path.read_text(encoding="utf-8")


def test_the_same_artefacts_make_the_same_bytes(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / run.name
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report.html", "plots"))
    assert write(copy).read_bytes() == (run / "report.html").read_bytes()
    assert not list(copy.glob(".*.aside"))


@pytest.mark.parametrize("finished", [0, 1, 2, 3])
def test_any_prefix_of_the_stages_makes_a_page_that_says_what_is_missing(
    finished: int, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / run.name
    folder.mkdir()
    for stage in synthetic_run.STAGES[:finished]:
        (folder / stage).symlink_to(run / stage)
    page = Page(write(folder).read_text(encoding="utf-8"))
    words = "".join(page.text)
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTION_IDS
    for stage in synthetic_run.STAGES[finished:-1]:
        assert f"The {stage} stage has not finished" in words
    assert ("The mixture has not been chosen yet" in words) == (finished < 3)


def test_a_page_is_replaced_and_plots_of_stages_that_are_gone_are_removed(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / run.name
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "evaluate")
    write(folder)
    assert not (folder / "plots" / "scores.svg").exists()
    assert "The evaluate stage has not finished" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_mixture_that_loses_is_said_to_lose(tmp_path: Path) -> None:
    folder = synthetic_run.make(tmp_path, synthetic_run.STAGES[:3], documents=12, wins=False)
    words = "".join(Page(write(folder).read_text(encoding="utf-8")).text)
    assert "The chosen mixture loses to uniform" in words
    assert "cannot be told from the natural mixture" in words
    assert "no figure" in words


@pytest.mark.parametrize(
    ("intervals", "title"),
    [
        (([-0.01, 0.09], [0.01, 0.09]), "The chosen mixture does not win beyond doubt"),
        (([-0.09, -0.01], [-0.01, 0.09]), "The chosen mixture loses to natural"),
        (([None, None], [-0.09, -0.01]), "The chosen mixture loses to uniform"),
    ],
)
def test_the_title_says_what_the_intervals_allow(
    intervals: tuple[list[float], list[float]], title: str, run: Path
) -> None:
    facts = gather(run)
    assert facts.mixture is not None
    verdict = {"wins": False, "text": ""} | {
        "against": {
            arm: {"gain": 0.04, "interval": interval}
            for arm, interval in zip(("natural", "uniform"), intervals, strict=True)
        }
    }
    arms = {"arms": ["chosen", "natural", "uniform"], "verdict": verdict}
    assert headline(replace(facts, mixture=facts.mixture | arms)).title == title


def test_an_artefact_of_another_version_is_an_error_for_people(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / run.name
    (folder / "curate").mkdir(parents=True)
    manifest = (run / "curate" / "manifest.json").read_text(encoding="utf-8")
    other = manifest.replace(f'"format": {ledger.FORMAT}', '"format": 99')
    (folder / "curate" / "manifest.json").write_text(other, encoding="utf-8")
    with pytest.raises(WorkFolderError, match="format 99"):
        write(folder)
