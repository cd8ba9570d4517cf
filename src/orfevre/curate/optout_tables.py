"""Lists of hosts, of URL prefixes and of hosts' files, compact on disk and mapped into each worker's memory.

    <name>.keys.npy     sorted 64-bit hashes of hosts, 8 bytes each, and beside them what they stand for
    <name>.text.bin     sorted texts end to end, <name>.ends.npy where each ends

A hundred million hosts take 1 GB on disk, shared by all workers. Two hosts with one hash are met once in 10^11
look-ups in such a list.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def key_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


class HostList:
    """Hosts, each with the number of the file it came from."""

    def __init__(self, stem: Path) -> None:
        self._keys: NDArray[np.uint64] = np.load(stem.with_suffix(".keys.npy"), mmap_mode="r", allow_pickle=False)
        self._values: NDArray[np.uint16] = np.load(stem.with_suffix(".values.npy"), mmap_mode="r", allow_pickle=False)

    @staticmethod
    def write(stem: Path, keys: NDArray[np.uint64], values: NDArray[np.uint16]) -> None:
        """Of a host that is there twice the first stays."""
        unique, first = np.unique(keys, return_index=True)
        np.save(stem.with_suffix(".keys.npy"), unique, allow_pickle=False)
        np.save(stem.with_suffix(".values.npy"), values[first], allow_pickle=False)

    def find(self, host: str) -> int | None:
        key = np.uint64(key_of(host))
        place = int(np.searchsorted(self._keys, key))
        return int(self._values[place]) if place < len(self._keys) and self._keys[place] == key else None


class Texts(Sequence[bytes]):
    """Byte strings in the order they were written."""

    def __init__(self, stem: Path) -> None:
        self._ends: NDArray[np.int64] = np.load(stem.with_suffix(".ends.npy"), mmap_mode="r", allow_pickle=False)
        self._text: Any = np.memmap(stem.with_suffix(".text.bin"), np.uint8, "r") if len(self._ends) > 1 else b""

    @staticmethod
    def write(stem: Path, texts: Iterable[bytes]) -> None:
        ends = [0]
        with stem.with_suffix(".text.bin").open("wb") as file:
            for text in texts:
                file.write(text)
                ends.append(ends[-1] + len(text))
            if ends[-1] == 0:
                file.write(b"\0")  # an empty file cannot be mapped
        np.save(stem.with_suffix(".ends.npy"), np.array(ends, np.int64), allow_pickle=False)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        return bytes(self._text[int(self._ends[index]) : int(self._ends[index + 1])])


class Prefixes:
    """URL prefixes without scheme, sorted; none is the beginning of another."""

    def __init__(self, stem: Path) -> None:
        self._texts = Texts(stem)

    @staticmethod
    def write(stem: Path, prefixes: Iterable[bytes]) -> None:
        kept: list[bytes] = []
        for prefix in sorted(set(prefixes)):
            if not kept or not prefix.startswith(kept[-1]):
                kept.append(prefix)
        Texts.write(stem, kept)

    def find(self, address: bytes) -> bytes | None:
        """The prefix that an address begins with: since none begins another, it is the last one not after it."""
        low, high = 0, len(self._texts)
        while low < high:
            middle = (low + high) // 2
            if self._texts[middle] <= address:
                low = middle + 1
            else:
                high = middle
        found = bytes(self._texts[low - 1]) if low else None
        return found if found is not None and address.startswith(found) else None


class HostTexts:
    """One text for each host: its robots.txt, say."""

    def __init__(self, stem: Path) -> None:
        self._keys: NDArray[np.uint64] = np.load(stem.with_suffix(".keys.npy"), mmap_mode="r", allow_pickle=False)
        self._texts = Texts(stem)

    @staticmethod
    def write(stem: Path, by_host: dict[str, bytes]) -> None:
        ordered = sorted((key_of(host), text) for host, text in by_host.items())
        Texts.write(stem, (text for _, text in ordered))
        np.save(stem.with_suffix(".keys.npy"), np.array([key for key, _ in ordered], np.uint64), allow_pickle=False)

    def find(self, host: str) -> bytes | None:
        key = np.uint64(key_of(host))
        place = int(np.searchsorted(self._keys, key))
        if place < len(self._keys) and self._keys[place] == key:
            return bytes(self._texts[place])
        return None
