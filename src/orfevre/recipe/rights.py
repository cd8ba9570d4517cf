"""Sections of [curate] on web pages and on what their owners allow: extraction, opt-outs."""

from .base import Section


class Extraction(Section):
    pass


class OptOut(Section):
    pass
