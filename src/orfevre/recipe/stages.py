"""Sections on tokenisation and on the machine that runs everything."""

from typing import Literal

from pydantic import Field

from .base import Count, NonNegative, Section


class Ray(Section):
    address: str = ""
    """A cluster's address (`auto`, `host:6379`); empty starts a local Ray for as long as it is needed. Every machine
    needs the same orfevre, and must see the work folder and the sources at the same paths."""


class Runner(Section):
    kind: Literal["pool", "inline", "ray"] = "pool"
    """`pool` maps work over processes, `inline` stays in this one, `ray` spreads it over a Ray cluster. Results are the
    same bytes."""

    workers: int = Field(default=0, ge=0)
    """Tasks at once; 0 is one for each core this process may use, or that the cluster has."""

    ray: Ray = Ray()
    """Where `ray` runs."""


class Machine(Section):
    watts: NonNegative = 65.0
    """Power this machine draws under load; used for the energy ledger where no energy meter can be read."""


class Tokenize(Section):
    vocab_size: int = Field(default=32_000, ge=300, le=2**31)
    """Entries of the byte-level BPE, special tokens included. Ignored when `file` is given."""

    sample_bytes: Count = 64 * 2**20
    """Text the tokenizer is trained on, split evenly over the sources."""

    file: str = ""
    """A tokenizer to use instead of training one: a tokenizer.json, or Mistral's tekken.json or tokenizer.model."""

    engine: Literal["auto", "gigatoken", "tokenizers"] = "auto"
    """What encodes: `auto` takes gigatoken where it gives the ids of Hugging Face's `tokenizers` on a sample of the run
    and that library otherwise, and says so. The shards are the same bytes."""
