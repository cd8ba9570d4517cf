"""Streams of bytes and lines out of plain, gzip and zstd files. A truncated stream is told from a whole one."""

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK_BYTES = 64 * 2**10
"""Compressed bytes read at once; even at the best ratio of gzip (1032) that stays under 68 MB."""


class DamagedStreamError(Exception):
    """The compressed stream ends early or is corrupt; what came before was good."""


def chunks(file: BinaryIO, path: str) -> Iterator[bytes]:
    """The file's bytes, decompressed if `path` ends in .gz or .zst. Raises DamagedStreamError after the good ones."""
    if path.endswith((".gz", ".zst")):
        return _decompressed(file, _gzip if path.endswith(".gz") else _zstd)
    return iter(lambda: file.read(2**20), b"")


def lines(file: BinaryIO, path: str, max_bytes: int) -> Iterator[bytes | int]:
    """Lines without their newline; of a line above `max_bytes` only its length. Raises DamagedStreamError."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks(file, path):
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield _line(held, piece, length, max_bytes)
            held, length = [], 0
        length += len(rest)
        if length <= max_bytes:
            held.append(rest)
        else:
            held = []
    if length:
        yield _line(held, b"", length, max_bytes)


def _line(held: list[bytes], piece: bytes, length: int, max_bytes: int) -> bytes | int:
    length += len(piece)
    return length if length > max_bytes else b"".join([*held, piece])


def _decompressed(file: BinaryIO, decompressor: Any) -> Iterator[bytes]:
    """Members (gzip) or frames (zstd) one after another, as concatenated files have them."""
    current = None
    position = 0
    for raw in iter(lambda: file.read(CHUNK_BYTES), b""):
        data = raw
        while data:
            if current is None:
                if not data.strip(b"\0"):  # padding after the last member
                    break
                current = decompressor()
            try:
                yield current.decompress(data)
            except Exception as error:  # zlib.error, zstandard.ZstdError
                raise DamagedStreamError(f"corrupt near compressed byte {position}: {error}") from None
            data, current = (current.unused_data, None) if current.eof else (b"", current)
        position += len(raw)
    if current is not None:
        raise DamagedStreamError(f"the compressed stream ends early, at byte {position}")


def _gzip() -> Any:
    return zlib.decompressobj(wbits=31)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()
