"""Sections on tokenisation and on the machine that runs everything."""

from typing import Literal

from pydantic import Field

from .base import Count, NonNegative, Section


class Runner(Section):
    kind: Literal["pool", "inline"] = "pool"
    """`pool` maps work over processes, `inline` stays in this one. Results are the same bytes."""

    workers: int = Field(default=0, ge=0)
    """Processes in the pool; 0 is one for each core this process may use."""


class Machine(Section):
    watts: NonNegative = 65.0
    """Power this machine draws under load; used for the energy ledger where no energy meter can be read."""


class Tokenize(Section):
    vocab_size: int = Field(default=32_000, ge=300, le=2**31)
    """Entries of the byte-level BPE, special tokens included. Ignored when `file` is given."""

    sample_bytes: Count = 64 * 2**20
    """Text the tokenizer is trained on, split evenly over the sources."""

    file: str = ""
    """A tokenizer.json to use instead of training one."""
