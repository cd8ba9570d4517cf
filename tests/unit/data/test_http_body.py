"""Transfer and content codings: undone where they are there, left alone where a header only says so."""

import gzip
import io
import zlib

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter

from orfevre.data.readers.http_body import decoded

BODY = b"<p>" + b"text " * 300


def brotli(data: bytes) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None:  # the writer closes it, for only then is the last block out
            pass

    file = Kept()
    with BrotliWriter(file) as writer:
        writer.write(data)
    return file.getvalue()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:100], data[100:])) + b"0\r\n\r\n"


PACKED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "Deflate": raw_deflate(BODY),
    "br": brotli(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
    "identity": BODY,
    "klingon": BODY,
}


@pytest.mark.parametrize("coding", list(PACKED))
def test_codings_are_undone(coding: str) -> None:
    assert decoded(PACKED[coding], [("content-encoding", coding)], 10_000) == BODY
    both = [("content-encoding", coding), ("transfer-encoding", "chunked")]
    assert decoded(chunked(PACKED[coding]), both, 10_000) == BODY
    assert decoded(BODY, both, 10_000) == BODY  # only said
    assert decoded(PACKED[coding], [("content-encoding", coding)], 99) == BODY[:100]


def test_codings_follow_one_another() -> None:
    twice = gzip.compress(zlib.compress(BODY))
    assert decoded(twice, [("content-encoding", "deflate, gzip")], 10_000) == BODY
    assert decoded(twice, [("content-encoding", "deflate"), ("content-encoding", "gzip")], 10_000) == BODY


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
def test_damaged_bodies_are_refused(coding: str) -> None:
    packed = PACKED[coding]
    with pytest.raises((ValueError, OSError)):
        decoded(packed[:9] + b"\xff\x00\xff" * 5 + packed[20:], [("content-encoding", coding)], 10_000)


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="ends early"):
        decoded(PACKED["gzip"][:-12], [("content-encoding", "gzip")], 10_000)
