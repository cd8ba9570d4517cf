"""Limits on what a reader takes from one file, so that no input can exhaust a machine."""

from .base import Section


class Reading(Section):
    pass
