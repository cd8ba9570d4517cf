"""Sections of [curate] that say what a text is: its language, and how good a classifier finds it."""

from .base import Fraction, Section


class Language(Section):
    min_confidence: Fraction = 0.7
    """Prose only: another language seen with at least this confidence drops the document (reason `language`)."""


class Classifier(Section):
    pass
