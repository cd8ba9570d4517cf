"""Orfevre: from raw text to a released Mixtral-class model, the mixture chosen by measured small runs."""

__version__ = "0.1.0"
