"""Where text comes from: one `[[sources]]` table for each source of the mixture."""

from typing import Literal

from pydantic import Field, field_validator

from .base import Name, Positive, Section

Format = Literal["text", "markdown", "code", "docstrings", "jsonl", "parquet", "html", "warc"]


class Source(Section):
    name: Name
    """Short name used everywhere: lower-case letters, digits and underscores."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, globs (`**` included) or fsspec URLs. `{stdlib}`, `{site_packages}` and `{data}` are filled in."""

    exclude: tuple[str, ...] = ()
    """Globs of files to leave out, matched against the same full paths."""

    format: Format
    """What the files are. JSON lines may end in .gz or .zst, WARC in .gz. `docstrings` takes the documentation strings
    out of Python modules (and string tables such as pydoc_data's); they are parsed, never executed."""

    text_field: str = "text"
    """Field (jsonl) or column (parquet) that holds the text."""

    licence: str = Field(min_length=2)
    """SPDX identifier or plain name of the licence of this source; it goes into the release's data table."""

    language: str = Field(pattern=r"^[a-z][a-z0-9_+#-]{0,31}$")
    """ISO 639-1 code (`en`, `fr`), `und` for mixed text, or a programming language (`python`, `c`)."""

    max_epochs: Positive = 4.0
    """How many times the target run may read this source. Up to 4 costs almost nothing (arXiv 2305.16264)."""

    max_bytes: int = Field(default=0, ge=0)
    """Take files, in an order drawn from their path's hash, until this many bytes; 0 takes all."""

    description: str = ""
    """One line for the model card's data table."""

    @field_validator("paths")
    @classmethod
    def _no_empty_path(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if any(not path.strip() for path in paths):
            raise ValueError("a path is empty; name a file, a glob or a URL")
        return paths
