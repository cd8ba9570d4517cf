"""Where text comes from: one `[[sources]]` table for each source of the mixture."""

from typing import Literal

from pydantic import Field, field_validator

from .base import Name, Positive, Section
from .quality import RuleSet

Format = Literal["text", "markdown", "code", "docstrings", "jsonl", "parquet", "huggingface", "html", "warc", "pdf"]


class Fields(Section):
    """Which fields (jsonl) or columns (parquet, huggingface) say what of a record; empty where none does."""

    url: str = ""
    """Where the record was fetched from."""

    title: str = ""
    date: str = ""
    """Date of publication."""

    acquired: str = ""
    """When it was fetched."""

    language: str = ""
    licence: str = ""
    """Licence of this record; where it is empty the source's holds."""


class Source(Section):
    name: Name
    """Short name used everywhere: lower-case letters, digits and underscores."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, globs (`**` included) or fsspec URLs. `{stdlib}`, `{site_packages}` and `{data}` are filled in."""

    exclude: tuple[str, ...] = ()
    """Globs of files to leave out, matched against the same full paths."""

    format: Format
    """What the files are. JSON lines may end in .gz or .zst. `warc` reads WARC and ARC archives and WET files, plain or
    gzip. `huggingface` takes folders: what `save_to_disk` leaves, or a checkout of a dataset with its card.
    `docstrings` takes the documentation strings out of Python modules (and string tables such as pydoc_data's); they
    are parsed, never executed. Files of the other formats may end in .gz or .zst too."""

    text_field: str = "text"
    """Field (jsonl) or column (parquet, huggingface) that holds the text."""

    fields: Fields = Fields()
    """Which fields or columns hold a record's own url, licence, date and so on."""

    split: str = ""
    """Split of a Hugging Face dataset to read (`train`); empty takes all."""

    licence: str = Field(min_length=2)
    """SPDX identifier or plain name of the licence of this source; it goes into the release's data table."""

    language: str = Field(pattern=r"^[a-z][a-z0-9_+#-]{0,31}$")
    """ISO 639-1 code (`en`, `fr`), `und` for mixed text, or a programming language (`python`, `c`)."""

    quality: tuple[RuleSet, ...] | None = None
    """Sets of quality rules for this source; without it those of curate.quality.rules. Web pages want
    `["gopher_repetition", "gopher_quality", "c4", "fineweb"]`, code `["starcoder"]`, books none."""

    max_epochs: Positive = 4.0
    """How many times the target run may read this source. Up to 4 costs almost nothing (arXiv 2305.16264)."""

    domains: int = Field(default=1, ge=1, le=64)
    """Split the kept documents by topic into this many sources, `web_1` to `web_8`, for every later stage: the mixture
    then weighs each. The largest comes first. 1 leaves the source whole."""

    max_bytes: int = Field(default=0, ge=0)
    """Take files, in an order drawn from their path's hash, until this many bytes; 0 takes all."""

    description: str = ""
    """One line for the model card's data table."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names under which later stages know its documents: its own, or those of its domains."""
        if self.domains == 1:
            return (self.name,)
        return tuple(f"{self.name}_{number}" for number in range(1, self.domains + 1))

    def part(self, name: str) -> "Source":
        """A copy under the name of one of its parts."""
        number = self.parts.index(name) + 1
        of = f"part {number} of {self.domains} of {self.name}, by topic"
        described = f"{self.description} ({of})" if self.description else of
        return self.model_copy(update={"name": name, "domains": 1, "description": described})

    @field_validator("paths")
    @classmethod
    def _no_empty_path(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if any(not path.strip() for path in paths):
            raise ValueError("a path is empty; name a file, a glob or a URL")
        return paths
