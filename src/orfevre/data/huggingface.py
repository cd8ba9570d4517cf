"""Hugging Face dataset folders: which of their files hold the data of a split, and what their card says.

Two layouts are known: what `save_to_disk` leaves (Arrow files that state.json lists, a folder a split) and a checkout
from the hub (Parquet or JSON lines files named after their split, and README.md with the card).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from orfevre.errors import InputError

DATA_SUFFIXES = (".arrow", ".parquet", ".jsonl", ".ndjson", ".json")
"""Formats that are read, the last three also with .gz and .zst behind them."""

_NOT_DATA = frozenset(["dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json"])
_SAME = ({"validation", "valid", "val", "dev"}, {"test", "testing"}, {"train", "training"})
"""Names that the hub takes for one split."""

Read = Callable[[str], bytes]
"""Gives the bytes of a file by its path."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a dataset says of all of its records."""

    licence: str = ""
    language: str = ""
    """Empty where the card names several."""


def data_files(names: Iterable[str], split: str, read: Read, where: str) -> list[str]:
    """The files of a split (of all when it is empty) among a folder's files, given as paths relative to the folder.

    `read` gives the bytes of one of them. Raises InputError when there are no data, or none of that split.
    """
    all_names = sorted(name for name in names if not any(part.startswith(".") for part in PurePosixPath(name).parts))
    saved = _saved(all_names, read, where)
    found = saved or {name: _names_of(name) for name in all_names if is_data(name)}
    if not found:
        raise InputError(f"{where}: no file in this folder ends in {', '.join(DATA_SUFFIXES)}; is it a dataset?")
    if not split:
        return [*found]
    wanted = next((same for same in _SAME if split in same), {split})
    chosen = [name for name, own in found.items() if wanted & own]
    if not chosen:
        raise InputError(f"{where}: no file of split {split!r} among {', '.join([*found][:8])}; set split to another")
    return chosen


def is_data(name: str) -> bool:
    return suffix(name) in DATA_SUFFIXES and PurePosixPath(name).name not in _NOT_DATA


def suffix(name: str) -> str:
    """The suffix that tells the format, without the one that tells the compression."""
    bare = name.removesuffix(".gz").removesuffix(".zst")
    own = PurePosixPath(bare).suffix.lower()
    return own if bare == name or own in (".jsonl", ".ndjson", ".json") else PurePosixPath(name).suffix


def _saved(names: list[str], read: Read, where: str) -> dict[str, set[str]]:
    """Of `save_to_disk`: the Arrow files that each state.json lists, with the names of their split."""
    found: dict[str, set[str]] = {}
    for name in names:
        if PurePosixPath(name).name != "state.json":
            continue
        try:
            state = json.loads(read(name))
            files = [str(PurePosixPath(name).parent / entry["filename"]) for entry in state["_data_files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{where}: {name} is not what save_to_disk writes ({error})") from error
        if state.get("_indices_data_files"):
            raise InputError(f"{where}: {name} selects rows by an index; save the dataset after flatten_indices()")
        gone = [file for file in files if file not in names]
        if gone:
            raise InputError(f"{where}: {name} lists {gone[0]}, which is not there; copy the folder again")
        splits = {str(state.get("_split") or ""), PurePosixPath(name).parent.name}
        found |= dict.fromkeys(files, splits)
    return found


def _names_of(name: str) -> set[str]:
    """Names that may tell a file's split: its folders, and what its own name begins with (`train-00000-of-00002`)."""
    path = PurePosixPath(name)
    return {*path.parts[:-1], *re.split(r"[-_.]", path.name)[:2]}


def card_of(path: str, read: Read) -> Card:
    """The card nearest to a data file, up to three folders above it; an empty one where nothing is said."""
    folder, _, _ = path.rpartition("/")
    for _ in range(4):
        for name, parse in (("README.md", _of_readme), ("dataset_info.json", _of_info)):
            try:
                card = parse(read(f"{folder}/{name}"))
            except (OSError, ValueError):
                continue
            if card.licence:
                return card
        folder, mark, _ = folder.rpartition("/")
        if not mark:
            break
    return Card()


def _of_readme(data: bytes) -> Card:
    """`license` and `language` of the YAML block at the top: a word, or a list of them in either notation."""
    head = re.match(r"---\r?\n(.*?)\r?\n---", data.decode("utf-8", "replace"), re.DOTALL)
    if not head:
        return Card()
    licences, languages = (_yaml_values(head[1], key) for key in ("license", "language"))
    return Card(" AND ".join(licences), languages[0] if len(languages) == 1 else "")


def _yaml_values(block: str, key: str) -> list[str]:
    found = re.search(rf"^{key}:[ \t]*(.*)((?:\r?\n[ \t]*-[ \t].*)*)", block, re.MULTILINE)
    if not found:
        return []
    listed = re.findall(r"-[ \t]+(.*)", found[2]) if found[2] else found[1].strip("[] \t\r").split(",")
    return [value for item in listed if (value := item.split(" #")[0].strip(" \t\r'\""))]


def _of_info(data: bytes) -> Card:
    table = json.loads(data)
    licence = table.get("license") if isinstance(table, Mapping) else None
    return Card(licence.strip() if isinstance(licence, str) and len(licence) < 200 else "")
