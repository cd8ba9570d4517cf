"""Streams of bytes and lines out of plain, gzip and zstd files. A truncated stream is told from a whole one."""

import math
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK_BYTES = 64 * 2**10
"""Compressed bytes read at once."""

PIECE_BYTES = 2**20
"""Bytes taken at once from a file that is not compressed, and unpacked bytes from gzip."""

ZSTD_BYTES = 4 * 2**10
"""Compressed bytes given to zstd at once: at its best ratio, a block of 128 KiB in 4 bytes, 128 MB come out."""

BOMB_BYTES = 64 * 2**20
"""Less than this unpacked is no bomb, whatever the ratio: long runs of one byte are common in small files."""


class DamagedStreamError(Exception):
    """The compressed stream ends early, is corrupt or is a bomb; what came before was good."""


def chunks(file: BinaryIO, path: str, max_ratio: float = math.inf) -> Iterator[bytes]:
    """The file's bytes, decompressed if `path` ends in .gz or .zst. Raises DamagedStreamError after the good ones.

    `max_ratio` is the decompressed over the compressed bytes beyond which a stream is a bomb.
    """
    if path.endswith((".gz", ".zst")):
        return _decompressed(file, _Gzip if path.endswith(".gz") else _Zstd, max_ratio)
    return iter(lambda: file.read(PIECE_BYTES), b"")


def lines(file: BinaryIO, path: str, max_bytes: int, max_ratio: float = math.inf) -> Iterator[bytes | int]:
    """Lines without their newline; of a line above `max_bytes` only its length. Raises DamagedStreamError."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks(file, path, max_ratio):
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
    if length > max_bytes:
        return length
    return b"".join([*held, piece]) if held else piece


def _decompressed(file: BinaryIO, begin: Any, max_ratio: float) -> Iterator[bytes]:
    """Members (gzip) or frames (zstd) one after another, as concatenated files have them."""
    current = None
    position = unpacked = 0
    for raw in iter(lambda: file.read(CHUNK_BYTES), b""):
        data = raw
        while data:
            if current is None:
                if not data.strip(b"\0"):  # padding after the last member
                    break
                current = begin()
            try:
                for piece in current.pieces(data):
                    unpacked += len(piece)
                    _refuse_bomb(unpacked, position + len(raw), max_ratio)
                    yield piece
            except DamagedStreamError:
                raise
            except Exception as error:  # zlib.error, zstandard.ZstdError
                raise DamagedStreamError(f"corrupt near compressed byte {position}: {error}") from None
            data, current = (current.rest, None) if current.is_at_end else (b"", current)
        position += len(raw)
    if current is not None:
        raise DamagedStreamError(f"the compressed stream ends early, at byte {position}")


def _refuse_bomb(unpacked: int, packed: int, max_ratio: float) -> None:
    if unpacked > BOMB_BYTES and unpacked > max_ratio * packed:
        raise DamagedStreamError(
            f"{packed} compressed bytes give {unpacked} and more, over {max_ratio:g} times as many "
            "(curate.reading.max_ratio)"
        )


class _Gzip:
    """One gzip member."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._member.decompress(data, PIECE_BYTES)
            data = self._member.unconsumed_tail

    @property
    def is_at_end(self) -> bool:
        return self._member.eof

    @property
    def rest(self) -> bytes:
        return self._member.unused_data


class _Zstd:
    """One zstd frame."""

    def __init__(self) -> None:
        import zstandard

        self._frame = zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()
        self.rest = b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for begin in range(0, len(data), ZSTD_BYTES):
            yield self._frame.decompress(data[begin : begin + ZSTD_BYTES])
            if self._frame.eof:
                self.rest = self._frame.unused_data + data[begin + ZSTD_BYTES :]
                return

    @property
    def is_at_end(self) -> bool:
        return bool(self._frame.eof)
