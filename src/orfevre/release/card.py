"""README.md of a release: the model card, with Hugging Face's front matter, written from the ledger by a template."""

from pathlib import Path
from typing import Any

import jinja2

from . import markdown
from .facts import Facts

TEMPLATES = ("card.md.jinja", "licence.txt.jinja")
HUB_LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "eupl-1.2", "openrail", "unlicense",
)  # fmt: skip
"""Licences that the hub knows by their SPDX name in lower case; any other is `other`, with its name."""

PARAMETER_BINS = (
    (1e6, "less than 1 million, below the form's smallest bin"),
    (500e6, "1 to 500 million"),
    (5e9, "500 million to 5 billion"),
    (15e9, "5 to 15 billion"),
    (50e9, "15 to 50 billion"),
    (100e9, "50 to 100 billion"),
    (500e9, "100 to 500 billion"),
    (1e12, "500 billion to 1 trillion"),
    (float("inf"), "more than 1 trillion"),
)
"""Of the Code of Practice's Model Documentation Form."""
TOKEN_BINS = (
    (1e9, "less than 1 billion tokens"),
    (1e13, "1 billion to 10 trillion tokens"),
    (float("inf"), "more than 10 trillion tokens"),
)
"""Of the AI Act's public summary of training content, for text."""


MONTH_SECONDS = 30 * 24 * 3600
TIME_BINS = (
    (1 * MONTH_SECONDS, "less than 1 month"),
    (3 * MONTH_SECONDS, "1 to 3 months"),
    (6 * MONTH_SECONDS, "3 to 6 months"),
    (float("inf"), "more than 6 months"),
)
"""Of the Model Documentation Form."""


def render(facts: Facts) -> str:
    """The model card in Markdown."""
    return _world().get_template(TEMPLATES[0]).render(**_names(facts)).rstrip() + "\n"


def licence_note(facts: Facts) -> str:
    """LICENSE: which licence the weights are under, and which ones the data."""
    return _world().get_template(TEMPLATES[1]).render(**_names(facts)).rstrip() + "\n"


def front_matter(facts: Facts) -> dict[str, Any]:
    """What the hub reads at the top of README.md."""
    licence = facts.release.licence
    known = licence.lower() in HUB_LICENCES
    spoken = sorted({source.language for source in facts.sources if len(source.language) == 2})
    written = sorted({source.language for source in facts.sources if len(source.language) != 2} - {"und"})
    return {
        "license": licence.lower() if known else "other",
        **({} if known else {"license_name": licence, "license_link": "LICENSE"}),
        **({"language": spoken} if spoken else {}),
        **({} if facts.beyond_mixtral else {"library_name": "transformers"}),
        "pipeline_tag": "text-generation",
        "tags": ["mixtral", "mixture-of-experts", "orfevre", *written],
        "datasets": [source.name for source in facts.sources],
        "model-index": [{"name": facts.name, "results": _results(facts)}],
    }


def _results(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": f"{name}, held-out documents", "type": name},
            "metrics": [{"type": "bits_per_byte", "name": "bits per byte", "value": score["bits_per_byte"]}],
        }
        for name, score in facts.scores["sources"].items()
    ]


def _names(facts: Facts) -> dict[str, Any]:
    trained = sum(source.tokens for source in facts.sources)
    return {
        "facts": facts,
        "front_matter": front_matter(facts),
        "parameter_bin": _bin(facts.parameters.total, PARAMETER_BINS),
        "token_bin": _bin(trained, TOKEN_BINS),
        "time_bin": _bin(facts.manifests["train"].wall_seconds, TIME_BINS),
        "reasons": sorted({reason for source in facts.curated for reason in source.dropped}),
        "methods": sorted({made.energy_method for made in facts.manifests.values()}),
        "machines": _distinct([made.machine for made in facts.manifests.values()]),
    }


def _bin(amount: float, bins: tuple[tuple[float, str], ...]) -> str:
    return next(words for limit, words in bins if amount < limit)


def _distinct(tables: list[dict[str, str]]) -> list[dict[str, str]]:
    return [table for index, table in enumerate(tables) if table not in tables[:index]]


def _world() -> jinja2.Environment:
    world = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML: foreign text goes through the filters `text` and `fenced`
    )
    filters = (
        markdown.text, markdown.fenced, markdown.yaml, markdown.whole, markdown.figure, markdown.fixed,
        markdown.percent, markdown.span, markdown.shares, markdown.duration, markdown.scientific, markdown.between,
    )  # fmt: skip
    world.filters.update({function.__name__: function for function in filters})
    return world
