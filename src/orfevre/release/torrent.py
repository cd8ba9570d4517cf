"""The release's torrent and magnet link: hybrid BitTorrent (v1, and v2 by BEP 52), same folder, same bytes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import libtorrent

from orfevre.errors import InputError

BLOCK = 16 * 2**10
"""Leaf of a file's hash tree in version 2; also the smallest piece."""
LARGEST_PIECE = 16 * 2**20
MOST_PIECES = 2048


def create(folder: Path, trackers: Sequence[str] = ()) -> bytes:
    """Metadata of every file in `folder`, bencoded. No date, no creator, nothing of this machine goes in."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    entries = [
        libtorrent.create_file_entry(path.relative_to(folder.parent).as_posix(), path.stat().st_size) for path in files
    ]
    made = libtorrent.create_torrent(entries, piece_size(sum(path.stat().st_size for path in files)))
    made.set_creation_date(0)  # 0 leaves the field out
    made.set_creator("")
    for tier, tracker in enumerate(trackers):
        made.add_tracker(tracker, tier)
    libtorrent.set_piece_hashes(made, str(folder.parent))
    return bytes(libtorrent.bencode(made.generate()))


def piece_size(num_bytes: int) -> int:
    """The smallest power of two that needs at most 2,048 pieces, between 16 KiB and 16 MiB."""
    size = BLOCK
    while size < LARGEST_PIECE and num_bytes > size * MOST_PIECES:
        size *= 2
    return size


def magnet(torrent: bytes) -> str:
    """The magnet link: hashes of both versions, name and trackers. Raises InputError for what is no torrent."""
    link: str = libtorrent.make_magnet_uri(_parse(torrent))
    return link


def verify(torrent: bytes, folder: Path) -> list[str]:
    """A line for each file of `folder` that is missing, changed or extra, by version 2's hash trees."""
    info: Any = libtorrent.bdecode(bytes(_parse(torrent).info_section()))
    promised = dict(_leaves(info[b"file tree"]))
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    lines = [f"{name}: missing" for name in promised.keys() - found.keys()]
    lines += [f"{name}: not in the torrent" for name in found.keys() - promised.keys()]
    for name in promised.keys() & found.keys():
        length, root = promised[name]
        if found[name].stat().st_size != length or (length and tree_root(found[name]) != root):
            lines.append(f"{name}: changed")
    return sorted(lines)


def tree_root(path: Path) -> bytes:
    """Root of a file's SHA-256 tree (BEP 52): leaves are 16 KiB blocks, padded with zero hashes to a power of two."""
    level = []
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            level.append(hashlib.sha256(block).digest())
    padding = bytes(32)
    while len(level) > 1:
        if len(level) % 2:
            level.append(padding)
        level = [hashlib.sha256(left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
        padding = hashlib.sha256(padding + padding).digest()
    return level[0] if level else b""


def _parse(torrent: bytes) -> Any:
    try:
        return libtorrent.torrent_info(torrent)
    except RuntimeError as error:
        raise InputError(f"not a torrent: {error}") from None


def _leaves(tree: Mapping[bytes, Any], prefix: str = "") -> list[tuple[str, tuple[int, bytes]]]:
    found = []
    for name, below in tree.items():
        if b"" in below:
            found.append((prefix + name.decode(), (below[b""][b"length"], below[b""].get(b"pieces root", b""))))
        else:
            found += _leaves(below, f"{prefix}{name.decode()}/")
    return found
