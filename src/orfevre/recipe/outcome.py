"""How the model is scored, and how it leaves the house."""

from pydantic import Field

from .base import Count, NonNegative, Section


class Evaluate(Section):
    documents_per_source: Count = 200
    """Held-out documents scored in each source, chosen by hash."""

    bootstrap_samples: Count = 1000
    """Resamples of documents behind each confidence interval."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Coverage of the intervals."""

    prompts: tuple[str, ...] = ("The ", "def ", "This module ")
    """Beginnings that the model continues, as samples."""

    sample_tokens: Count = 64
    """Length of each sample, tokens."""

    temperature: NonNegative = 0.8
    """Sampling temperature; 0 always takes the likeliest token."""


class Release(Section):
    model_name: str = ""
    """Name of the released model; empty takes the recipe's name."""

    provider: str = ""
    """Who releases it: a legal name, for the model card."""

    contact: str = ""
    """Where questions and complaints go."""

    licence: str = "Apache-2.0"
    """Licence of the weights."""

    intended_use: str = ""
    """What it is for, in one or two sentences; the card says so when it is not stated."""

    trackers: tuple[str, ...] = ()
    """BitTorrent trackers in the magnet link; none relies on the distributed hash table."""
