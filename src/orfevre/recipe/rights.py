"""Sections of [curate] on web pages and on what their owners allow: extraction, opt-outs."""

from typing import Literal

from pydantic import Field

from .base import Section


class Extraction(Section):
    method: Literal["cascade", "resiliparse", "trafilatura"] = "cascade"
    """How main text is found: `cascade` is Resiliparse, a rule for each line, and trafilatura for doubtful pages. The
    other two are those libraries alone."""

    min_chars: int = Field(default=400, ge=0)
    """Characters of main text below which a page is doubtful and read again by trafilatura; 0 never does."""


class OptOut(Section):
    pass
