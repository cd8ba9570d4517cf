"""Evaluation sets, and how training text is kept clean of them."""

from .base import Section


class Contamination(Section):
    pass
