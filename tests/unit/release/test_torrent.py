"""The torrent against libtorrent's own client and against hashes computed here."""

import hashlib
import os
import time
import urllib.parse
from pathlib import Path

import libtorrent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.errors import InputError
from orfevre.release import torrent


def folder(root: Path, name: str = "model", seed: int = 0) -> Path:
    made = root / name
    (made / "deep").mkdir(parents=True)
    (made / "big.bin").write_bytes(bytes((index * 7 + seed) % 251 for index in range(100_000)))
    (made / "deep" / "small.txt").write_text("hello")
    (made / "exact.bin").write_bytes(b"x" * torrent.BLOCK)
    (made / "empty").write_bytes(b"")
    return made


def test_is_hybrid_and_carries_nothing_of_this_machine(tmp_path: Path):
    metadata = torrent.create(folder(tmp_path), ["udp://a.example:1/announce"])
    hashes = libtorrent.torrent_info(metadata).info_hashes()
    assert hashes.has_v1() and hashes.has_v2()
    assert set(libtorrent.bdecode(metadata)) == {b"announce", b"info", b"piece layers"}


def test_magnet_names_both_hashes_and_the_trackers(tmp_path: Path):
    metadata = torrent.create(folder(tmp_path), ["udp://a.example:1/announce", "udp://b.example:2"])
    info = libtorrent.torrent_info(metadata)
    link = torrent.magnet(metadata)
    parts = urllib.parse.parse_qsl(link.removeprefix("magnet:?"))
    raw = bytes(info.info_section())
    assert ("xt", f"urn:btih:{hashlib.sha1(raw).hexdigest()}") in parts
    assert ("xt", f"urn:btmh:1220{hashlib.sha256(raw).hexdigest()}") in parts
    assert ("dn", "model") in parts
    assert [value for key, value in parts if key == "tr"] == ["udp://a.example:1/announce", "udp://b.example:2"]
    assert libtorrent.parse_magnet_uri(link).info_hashes == info.info_hashes()


def test_same_folder_elsewhere_and_later_gives_the_same_bytes(tmp_path: Path):
    first, second = folder(tmp_path / "one"), folder(tmp_path / "two")
    os.utime(second / "big.bin", (1, 1))
    (second / "big.bin").chmod(0o600)
    assert torrent.create(first) == torrent.create(second)
    third = folder(tmp_path / "three", seed=1)
    assert torrent.magnet(torrent.create(third)) != torrent.magnet(torrent.create(first))


def test_verify_names_what_differs(tmp_path: Path):
    made = folder(tmp_path)
    metadata = torrent.create(made)
    assert torrent.verify(metadata, made) == []
    data = bytearray((made / "big.bin").read_bytes())
    data[50_000] ^= 1
    (made / "big.bin").write_bytes(data)
    (made / "deep" / "small.txt").unlink()
    (made / "new").write_text("x")
    assert torrent.verify(metadata, made) == [
        "big.bin: changed", "deep/small.txt: missing", "new: not in the torrent",
    ]  # fmt: skip


@pytest.mark.parametrize("broken", [False, True])
def test_a_client_finds_the_folder_whole_or_not(tmp_path: Path, broken: bool):
    made = folder(tmp_path)
    metadata = torrent.create(made)
    if broken:
        data = bytearray((made / "big.bin").read_bytes())
        data[-1] ^= 1
        (made / "big.bin").write_bytes(data)
    assert _client_says_whole(metadata, tmp_path) is not broken


def test_what_is_no_torrent_is_refused():
    with pytest.raises(InputError, match="not a torrent"):
        torrent.magnet(b"d3:fooi1ee")


@given(st.integers(1, 10**12))
def test_pieces_are_powers_of_two_and_not_too_many(num_bytes: int):
    size = torrent.piece_size(num_bytes)
    assert size & (size - 1) == 0 and torrent.BLOCK <= size <= torrent.LARGEST_PIECE
    assert num_bytes <= size * torrent.MOST_PIECES or size == torrent.LARGEST_PIECE


def _client_says_whole(metadata: bytes, parent: Path) -> bool:
    """A client without network checks every piece on disk against both hashes."""
    settings = {"listen_interfaces": "", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
                "enable_natpmp": False}  # fmt: skip
    session = libtorrent.session(settings)
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(metadata)
    parameters.save_path = str(parent)
    handle = session.add_torrent(parameters)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = handle.status()
        if status.is_seeding or (status.state == status.states.downloading and status.progress < 1):
            return bool(status.is_seeding)
        time.sleep(0.02)
    raise TimeoutError(f"the client is still at {handle.status().state}")
