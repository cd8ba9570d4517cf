"""Writes report.html and plots/*.svg from the artefacts of a run.

Reads:   every finished `<work>/<recipe name>/<stage>/`; what is missing is said to be missing
Writes:  `<work>/<recipe name>/report.html` (self-contained) and `plots/<name>.svg`, each aside and then renamed
Resumes: nothing to resume; it is made anew each time, the same bytes from the same artefacts
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from orfevre import artifact
from orfevre.report.blocks import Plot, Section
from orfevre.report.facts import Facts, gather
from orfevre.report.sections import bill, check, experts, ledger, mixture, scales, surrogate, training
from orfevre.report.sections.data import contamination, drops, duplicates, sources, texts, tokens
from orfevre.report.sections.headline import headline

TEMPLATES = Path(__file__).parent / "templates"
PAGE, PLOTS = "report.html", "plots"

Drawings = dict[str, tuple[str, str]]
"""By name, a plot as SVG text in placeholder colours: wide, and narrow for a phone."""

SECTIONS: tuple[Callable[[Facts], Section], ...] = (
    ledger.timeline,
    sources.sources,
    drops.drops,
    duplicates.duplicates,
    texts.texts,
    contamination.contamination,
    tokens.tokens,
    mixture.chosen,
    surrogate.trust,
    scales.scales,
    check.check,
    check.price,
    training.training,
    experts.experts,
    bill.bill,
    training.scores,
    training.samples,
    ledger.ledger,
    ledger.reproducibility,
)
"""In the order of the page, below the headline."""


def write(run_folder: Path) -> Path:
    """Write `<run_folder>/report.html` and its plots; return the page's path.

    Any set of finished stages will do. Raises WorkFolderError for an artefact of another version or a damaged one.
    """
    facts = gather(run_folder)
    sections = [section(facts) for section in SECTIONS]
    drawings = draw(block for section in sections for block in section.blocks if isinstance(block, Plot))
    page = _render(facts, sections, drawings)
    run_folder.mkdir(parents=True, exist_ok=True)
    _save_plots(run_folder / PLOTS, drawings)
    artifact.write_text(run_folder / PAGE, page)
    return run_folder / PAGE


def draw(plots: Iterable[Plot]) -> Drawings:
    """Draw every plot of a page."""
    from orfevre.report.plots import drawing  # Matplotlib takes a second to import

    drawn = {}
    with drawing.style():
        for plot in plots:
            wide, narrow = (
                drawing.svg(plot.draw(small), f"{plot.name}{'-narrow' if small else ''}", plot.title, plot.alt)
                for small in (False, True)
            )
            drawn[plot.name] = (wide, narrow)
    return drawn


def _render(facts: Facts, sections: list[Section], drawings: Drawings) -> str:
    return render("page.jinja", drawings, facts=facts, top=headline(facts), sections=sections)


def render(template: str, drawings: Drawings, **words: Any) -> str:
    """A page of this package's look. Every text that `words` brings is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from orfevre.report.plots import drawing

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        # Markup is what this package wrote itself
        style=Markup(drawing.palette() + css),
        drawings={name: [Markup(drawing.themed(text)) for text in pair] for name, pair in drawings.items()},
        **words,
    )


def _save_plots(folder: Path, drawings: Drawings) -> None:
    from orfevre.report.plots import drawing

    folder.mkdir(exist_ok=True)
    for name, (wide, _) in drawings.items():
        artifact.write_text(folder / f"{name}.svg", drawing.plain(wide) + "\n")
    for path in folder.glob("*.svg"):
        if path.stem not in drawings:
            path.unlink()  # of an earlier report; its stage is gone
