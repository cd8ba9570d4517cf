"""Which files a source names: placeholders filled in, globs expanded, local paths and fsspec URLs alike."""

import fnmatch
import glob
import hashlib
import io
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from orfevre.errors import InputError, RecipeError
from orfevre.recipe import Recipe, Source, Task


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
    found = _found(recipe, f"sources.{source.name}", source.paths, source.exclude)
    return sorted(_capped(found, source.max_bytes), key=lambda file: file.location)


def resolve_task(recipe: Recipe, task: Task) -> list[SourceFile]:
    """The files of an evaluation set, as `resolve`."""
    found = _found(recipe, f"tasks.{task.name}", task.paths, task.exclude)
    return sorted(found, key=lambda file: file.location)


def _found(recipe: Recipe, table: str, paths: Sequence[str], exclude: Sequence[str]) -> list[SourceFile]:
    found: dict[str, SourceFile] = {}
    for index, pattern in enumerate(paths):
        where = f"{table}.paths[{index}]"
        filled, prefix = _fill(pattern, recipe, where)
        matched = [*_matches(filled, where)]
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


def _matches(pattern: str, where: str) -> Iterator[tuple[str, int, str]]:
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


def _remote(pattern: str, where: str) -> Iterator[tuple[str, int, str]]:
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
