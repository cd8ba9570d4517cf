"""Which files a source names: placeholders filled in, globs expanded, local paths and fsspec URLs alike."""

import fnmatch
import glob
import hashlib
import io
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from orfevre.data import huggingface
from orfevre.errors import InputError, RecipeError
from orfevre.recipe import Recipe, Source, Task

Match: TypeAlias = tuple[str, int, str]
"""Path, bytes and stamp of a file."""

Listed: TypeAlias = Callable[[str, str], Iterable[Match]]
"""The files that a pattern (the first argument) stands for; the second is where the recipe names it."""


@dataclass(frozen=True)
class SourceFile:
    """One input file: where it opens, how it is called in the ledger, how long it is, and what tells a change."""

    path: str
    location: str
    """The path with placeholders left in place, so that it reads the same on every machine."""
    num_bytes: int
    stamp: str
    """Modification time or etag."""


def resolve(recipe: Recipe, source: Source) -> list[SourceFile]:
    """The files of a source, ordered by location.

    Raises InputError for a path that matches nothing, RecipeError for a placeholder that has no value.
    """
    listed = partial(_datasets, split=source.split) if source.format == "huggingface" else _matches
    found = _found(recipe, f"sources.{source.name}", (source.paths, source.exclude), listed)
    return sorted(_capped(found, source.max_bytes), key=lambda file: file.location)


def resolve_task(recipe: Recipe, task: Task) -> list[SourceFile]:
    """The files of an evaluation set, as `resolve`."""
    found = _found(recipe, f"tasks.{task.name}", (task.paths, task.exclude), _matches)
    return sorted(found, key=lambda file: file.location)


def resolve_list(recipe: Recipe, field: str, paths: Sequence[str]) -> list[SourceFile]:
    """The files that a field of the recipe names by paths, globs or folders, in the order of the field."""
    found: dict[str, SourceFile] = {}
    for index, pattern in enumerate(paths):
        where = f"{field}[{index}]"
        filled, prefix = _fill(pattern, recipe, where)
        if not is_url(filled) and Path(filled).is_dir():
            filled = f"{filled.rstrip('/')}/*"
        matched = sorted(_matches(filled, where))
        if not matched:
            raise InputError(f"{where} = {pattern!r}: no file matches {filled}; mend the path, or take it out")
        for path, num_bytes, stamp in matched:
            found.setdefault(path, SourceFile(path, _location(path, prefix), num_bytes, stamp))
    return list(found.values())


def _found(
    recipe: Recipe, table: str, patterns: tuple[Sequence[str], Sequence[str]], listed: Listed
) -> list[SourceFile]:
    """What the first patterns name, by `listed`, and the second do not."""
    paths, exclude = patterns
    found: dict[str, SourceFile] = {}
    for index, pattern in enumerate(paths):
        where = f"{table}.paths[{index}]"
        filled, prefix = _fill(pattern, recipe, where)
        matched = [*listed(filled, where)]
        if not matched:
            raise InputError(
                f"{where} = {pattern!r}: no file matches {filled}; mend the path, or take {table} out of the recipe"
            )
        for path, num_bytes, stamp in matched:
            found.setdefault(path, SourceFile(path, _location(path, prefix), num_bytes, stamp))
    excluded = [_fill(pattern, recipe, f"{table}.exclude")[0] for pattern in exclude]
    kept = [file for path, file in found.items() if not any(fnmatch.fnmatchcase(path, rule) for rule in excluded)]
    if not kept:
        raise InputError(f"{table}.exclude: leaves no file out of {len(found)}; loosen it")
    return kept


def digest(files: Iterable[SourceFile]) -> str:
    """Changes when a file is added, taken away, resized or touched."""
    lines = "".join(f"{file.location}\0{file.num_bytes}\0{file.stamp}\n" for file in files)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def open_file(path: str) -> BinaryIO:
    """Open a local path or an fsspec URL for reading bytes; nothing is decompressed."""
    if not is_url(path):
        return Path(path).open("rb")
    filesystem, inner = _filesystem(path, path)
    return cast(BinaryIO, io.BufferedReader(filesystem.open(inner, "rb")))


def read_small(path: str) -> bytes:
    """The first 16 MiB of a file: cards, states. Raises OSError."""
    with open_file(path) as file:
        return file.read(16 * 2**20)


def is_url(path: str) -> bool:
    return "://" in path


def _placeholders(recipe: Recipe) -> dict[str, str]:
    paths = sysconfig.get_paths()
    return {"stdlib": paths["stdlib"], "site_packages": paths["purelib"], "data": recipe.data}


def _fill(pattern: str, recipe: Recipe, where: str) -> tuple[str, tuple[str, str]]:
    """The pattern with its leading placeholder filled in, and (value, placeholder) to undo it in locations."""
    if not pattern.startswith("{"):
        return (pattern if is_url(pattern) else str(Path(pattern).expanduser())), ("", "")
    name, _, rest = pattern[1:].partition("}")
    values = _placeholders(recipe)
    if name not in values:
        raise RecipeError(f"{where} = {pattern!r}: unknown placeholder; there are {', '.join(sorted(values))}")
    if not values[name]:
        raise RecipeError(f"{where} = {pattern!r}: say where {{data}} is, with `data = ...` or --set data=FOLDER")
    value = values[name].rstrip("/")
    return (value if is_url(value) else glob.escape(str(Path(value).expanduser()))) + rest, (value, f"{{{name}}}")


def _location(path: str, prefix: tuple[str, str]) -> str:
    value, placeholder = prefix
    root = value if is_url(value) else str(Path(value).expanduser())
    return placeholder + path[len(root) :] if value and path.startswith(root) else path


def _matches(pattern: str, where: str) -> Iterator[Match]:
    if is_url(pattern):
        yield from _remote(pattern, where)
        return
    for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207  # Path.glob takes no absolute pattern
        file = Path(path)
        try:
            status = file.stat()
        except OSError:  # a dangling link, or gone since it was listed
            continue
        if file.is_file():
            yield path, status.st_size, str(status.st_mtime_ns)


def _remote(pattern: str, where: str) -> Iterator[Match]:
    filesystem, inner = _filesystem(pattern, where)
    try:
        listed = filesystem.glob(inner, detail=True) if glob.has_magic(inner) else {inner: filesystem.info(inner)}
    except FileNotFoundError:
        return
    except Exception as error:  # every backend has its own errors: a host that is away, a key that is refused
        raise InputError(f"{where} = {pattern!r}: cannot be listed ({type(error).__name__}: {error})") from error
    for name, info in listed.items():
        if info.get("type") == "file":
            stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified") if info.get(key)), "")
            yield filesystem.unstrip_protocol(name), int(info.get("size") or 0), stamp


def _datasets(pattern: str, where: str, split: str) -> Iterator[Match]:
    """The data files in Hugging Face dataset folders; a file that is named itself is taken as it is."""
    for path, is_folder in _places(pattern, where):
        if not is_folder:
            yield from _matches(glob.escape(path), where)
            continue
        inside = [*_matches(f"{path if is_url(path) else glob.escape(path)}/**", where)]
        names = {found[0][len(path) + 1 :]: found for found in inside}
        read = partial(_read_in, path)
        for name in huggingface.data_files(names, split, read, f"{where} = {pattern!r}"):
            yield names[name]


def _read_in(folder: str, name: str) -> bytes:
    return read_small(f"{folder}/{name}")


def _places(pattern: str, where: str) -> Iterator[tuple[str, bool]]:
    """Paths that match, and whether each is a folder."""
    if not is_url(pattern):
        for path in glob.iglob(pattern.rstrip("/"), recursive=True):  # noqa: PTH207
            yield path, Path(path).is_dir()
        return
    filesystem, inner = _filesystem(pattern.rstrip("/"), where)
    for name in filesystem.glob(inner) if glob.has_magic(inner) else [inner]:
        yield filesystem.unstrip_protocol(name), filesystem.isdir(name)


def _filesystem(url: str, where: str):  # type: ignore[no-untyped-def]  # fsspec carries no types
    import fsspec.core

    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{where} = {url!r}: fsspec cannot open such a URL ({error})") from error


def _capped(files: list[SourceFile], max_bytes: int) -> list[SourceFile]:
    """Files in an order drawn from their location's hash, until `max_bytes`; always at least one."""
    if not max_bytes:
        return files
    drawn = sorted(files, key=lambda file: hashlib.sha256(file.location.encode(errors="surrogateescape")).digest())
    chosen, total = [], 0
    for file in drawn:
        if total >= max_bytes:
            break
        chosen.append(file)
        total += file.num_bytes
    return chosen
