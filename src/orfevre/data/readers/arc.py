"""The records of an ARC file, the Internet Archive's format before WARC.

A record is one line, `URL IP date type length` (version 1) or `URL IP date type result checksum location offset
filename length` (version 2), then `length` bytes. The first record describes the file.
"""

import re
from collections import Counter
from collections.abc import Iterator

from orfevre.data.readers.archive import Captured, Found
from orfevre.data.readers.compressed import DamagedStreamError
from orfevre.data.readers.record import Broken

MARK = b"filedesc:"
"""How an ARC file begins."""

MAX_LINE_BYTES = 64 * 2**10

_LINE = re.compile(
    rb"(?P<url>\S[^\r\n]*?) [\da-fA-F.:]{2,45} (?P<date>\d{14}) (?P<type>\S+) (?:[^\r\n]* )?(?P<length>\d{1,15})"
    rb"\r?\n"
)


def records(chunks: Iterator[bytes], is_packed: bool, max_bytes: int, skipped: Counter[str]) -> Iterator[Found]:
    """Records in order, and a Broken (number 0) for each stretch of bytes that is none."""
    stream = _Stream(chunks)
    where = " of the unpacked archive" if is_packed else ""
    junk = None
    while line := stream.line():
        begin = stream.place - len(line)
        head = _LINE.fullmatch(line)
        if head is None:
            junk = begin if junk is None and line.strip() else junk
            continue
        if junk is not None:
            yield _junk(junk, begin, where)
            junk = None
        length = int(head["length"])
        block, size = stream.take(length, max_bytes + 1)
        if size < length:
            cause = f"record at byte {begin}{where}: cut off, {size} bytes of {length}"
            yield Broken(0, "broken_record", cause, size)
        elif line.startswith(MARK):
            skipped["filedesc"] += 1
        else:
            yield _captured(head, block, -1 if is_packed else begin)
    if junk is not None:
        yield _junk(junk, stream.place, where)
    if stream.damage:
        yield Broken(0, "unreadable", f"after byte {stream.place}{where}: {stream.damage}")


def _junk(begin: int, end: int, where: str) -> Broken:
    return Broken(0, "unreadable", f"bytes {begin} to {end}{where} hold no whole record", end - begin)


def _captured(head: re.Match[bytes], block: bytes, offset: int) -> Captured:
    date = head["date"].decode()
    return Captured(
        kind="arc",
        url=head["url"].decode("utf-8", "replace"),
        date=f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z",
        media_type=head["type"].decode("ascii", "replace").lower(),
        languages="",
        block=block,
        offset=offset,
    )


class _Stream:
    """Bytes that come in pieces, taken by the line or by length. Damage is an end, kept in `damage`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data, self._next = b"", 0
        self.place = 0
        self.damage = ""

    def line(self) -> bytes:
        """The next line with its newline, or MAX_LINE_BYTES of a longer one; b"" at the end."""
        while True:
            end = self._data.find(b"\n", self._next, self._next + MAX_LINE_BYTES)
            held = len(self._data) - self._next
            if end >= 0:
                return self._pop(end + 1 - self._next)
            if held >= MAX_LINE_BYTES or not self._fill():
                return self._pop(min(held, MAX_LINE_BYTES))

    def take(self, size: int, keep: int) -> tuple[bytes, int]:
        """The first `keep` of the next `size` bytes, and how many of `size` there were."""
        kept: list[bytes] = []
        done = 0
        while done < size and (self._next < len(self._data) or self._fill()):
            piece = self._pop(min(size - done, len(self._data) - self._next))
            if done < keep:
                kept.append(piece[: keep - done])
            done += len(piece)
        return b"".join(kept), done

    def _pop(self, size: int) -> bytes:
        piece = self._data[self._next : self._next + size]
        self._next += size
        self.place += size
        return piece

    def _fill(self) -> bool:
        try:
            piece = next(self._chunks, b"")
        except DamagedStreamError as error:
            self.damage, piece = str(error), b""
        self._data, self._next = self._data[self._next :] + piece, 0
        return bool(piece)
