"""Limits on what a reader takes from one file, so that no input can exhaust a machine."""

from pydantic import Field

from .base import Count, Section


class Reading(Section):
    max_record_bytes: Count = 64 * 2**20
    """Bytes of one record (a JSON line, a page, a file that is one document), decompressed; a longer one is counted as
    `too_long` and not held in memory."""

    max_ratio: float = Field(default=1000.0, ge=10.0)
    """Decompressed bytes over compressed bytes above which a stream is a bomb and is broken off. Text has 3 to 10, logs
    up to 200; gzip cannot exceed 1032, zstd can reach 30,000."""

    max_seconds: float = Field(default=20.0, gt=0.0)
    """Time one document may take to be parsed (HTML, PDF); a slower one is counted as `timeout`."""

    max_pages: Count = 2000
    """Pages of a PDF file; a longer one is counted as `too_long`."""
