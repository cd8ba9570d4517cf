"""The files that a recipe's opt-outs name, brought into the compact tables that every worker maps."""

import json
import re
import shutil
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from orfevre.curate.optout_tables import HostList, HostTexts, Prefixes, key_of
from orfevre.data import forgotten, sources
from orfevre.data.readers import compressed, http_body, warc
from orfevre.data.readers.archive import Captured
from orfevre.data.sources import SourceFile
from orfevre.errors import InputError
from orfevre.recipe import Recipe

FOLDER = "optout"
MAX_LINE_BYTES = 2**20
MAX_TEXT_BYTES = 4 * 2**20

TEXTS = {"robots": "/robots.txt", "tdmrep": "/.well-known/tdmrep.json", "ai_txt": "/ai.txt"}
"""Files of one text a host, and where a host keeps them."""

_ARCHIVE = re.compile(r"\.w?arc(?:\.gz)?$", re.IGNORECASE)
_LINES = re.compile(r"\.(?:jsonl|ndjson)(?:\.gz|\.zst)?$", re.IGNORECASE)
_FROM_HOSTS_FILE = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?|255\.255\.255\.255)\s+(.*)")
_LOCAL = frozenset(["localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"])


def build(recipe: Recipe, place: Path) -> None:
    """Write the tables of what the recipe names beside their place, and rename the folder."""
    aside = place.with_name(f"{place.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rules = recipe.curate.optout
    found = _from_sources(recipe) if rules.robots_in_sources else {}
    for name in TEXTS:
        texts = found.get(name, {}) | _texts(recipe, name)  # what the recipe names goes before what a crawl met
        if texts:
            HostTexts.write(aside / name, texts)
    if rules.domains:
        _write_domains(sources.resolve_list(recipe, "curate.optout.domains", rules.domains), aside)
    if rules.urls:
        _write_urls(sources.resolve_list(recipe, "curate.optout.urls", rules.urls), aside)
    aside.rename(place)


def authority(url: str) -> str:
    """Host, and port where it is not the scheme's, of a URL or a host; empty for what is neither."""
    normal = forgotten.normal_url(url if "://" in url else f"https://{url}")
    return normal.partition("://")[2].partition("/")[0]


def address(url: str) -> str:
    """A URL without its scheme, as prefixes are compared; empty for what is none."""
    return forgotten.normal_url(url if "://" in url else f"https://{url}").partition("://")[2]


def _texts(recipe: Recipe, name: str) -> dict[str, bytes]:
    """Texts by host, of all files that the recipe names; of a host that is there twice the last one."""
    field = f"curate.optout.{name}"
    found: dict[str, bytes] = {}
    for file in sources.resolve_list(recipe, field, getattr(recipe.curate.optout, name)):
        if _ARCHIVE.search(file.path):
            found |= _from_archive(recipe, file).get(name, {})
        elif _LINES.search(file.path):
            found |= dict(_from_lines(field, file))
        else:
            host = authority(PurePosixPath(file.path).name.rpartition(".")[0])
            if not host:
                raise InputError(f"{field}: {file.path} is not named after a host; name it so: example.org.txt")
            found[host] = sources.read_small(file.path)[:MAX_TEXT_BYTES]
    return found


def _from_lines(field: str, file: SourceFile) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(_lines(file), start=1):
        if line.strip():
            try:
                table = json.loads(line)
                host, text = authority(str(table["host"])), table["text"]
                if not host:
                    raise ValueError("no host")
            except (ValueError, KeyError, TypeError):
                wanted = '{"host": "example.org", "text": "..."}'
                raise InputError(f"{field}: {file.path}, line {number}: {line[:80]!r} is not {wanted}") from None
            yield host, (text if isinstance(text, str) else json.dumps(text)).encode("utf-8", "replace")


def _lines(file: SourceFile) -> Iterator[bytes]:
    try:
        with sources.open_file(file.path) as opened:
            for number, line in enumerate(compressed.lines(opened, file.path, MAX_LINE_BYTES), start=1):
                if isinstance(line, int):
                    raise InputError(f"{file.path}, line {number}: {line} bytes; a list of opt-outs has short lines")
                yield line
    except (OSError, compressed.DamagedStreamError) as error:
        raise InputError(f"{file.path}: cannot be read ({error}); a list of opt-outs must be whole") from None


def _from_sources(recipe: Recipe) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for source in recipe.sources:
        if source.format == "warc":
            for file in sources.resolve(recipe, source):
                for name, texts in _from_archive(recipe, file).items():
                    found[name] = found.get(name, {}) | texts
    return found


def _from_archive(recipe: Recipe, file: SourceFile) -> dict[str, dict[str, bytes]]:
    """Successful responses of the addresses in TEXTS: by name and host. Damage is the readers' to tell."""
    paths = {path: name for name, path in TEXTS.items()}
    found: dict[str, dict[str, bytes]] = {}
    with sources.open_file(file.path) as opened:
        for record in warc.captures(opened, recipe.curate.reading, Counter()):
            if isinstance(record, Captured) and record.kind in ("response", "arc"):
                host, _, path = address(record.url).partition("/")
                name = paths.get(f"/{path}")
                body = _body(record) if name and host else None
                if name and body is not None:
                    found.setdefault(name, {})[host] = body
    return found


def _body(record: Captured) -> bytes | None:
    """The body of a successful response; None for any other."""
    head, _, body = record.block.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if not re.match(r"HTTP/\d(?:\.\d)? 2\d\d\b", status):
        return None
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    try:
        return http_body.decoded(body, pairs, MAX_TEXT_BYTES)[:MAX_TEXT_BYTES]
    except (ValueError, OSError):
        return None


def _write_domains(files: Sequence[SourceFile], folder: Path) -> None:
    """Two lists: hosts with all below them, and hosts alone. Values are the numbers of the files."""
    keys = {"domains": array("Q"), "hosts": array("Q")}
    values = {"domains": array("H"), "hosts": array("H")}
    for number, file in enumerate(files):
        for place, line in enumerate(_lines(file), start=1):
            name, hosts = _listed(line.decode("utf-8", "replace").partition("#")[0].strip())
            for host in hosts:
                normal = forgotten.normal_domain(host)
                if not normal:
                    raise InputError(f"{file.path}, line {place}: {host[:80]!r} is no host such as example.org")
                keys[name].append(key_of(normal))
                values[name].append(number)
    for name, own in keys.items():
        HostList.write(folder / name, np.array(own, np.uint64), np.array(values[name], np.uint16))
    (folder / "domains.files.json").write_text(json.dumps([file.location for file in files]), encoding="utf-8")


def _listed(line: str) -> tuple[str, list[str]]:
    """The kind of a line, and its hosts: `example.org`, `=example.org`, `0.0.0.0 example.org www.example.org`."""
    if match := _FROM_HOSTS_FILE.fullmatch(line):
        return "hosts", [host for host in match[1].split() if host.lower() not in _LOCAL]
    if line.startswith("="):
        return "hosts", [line[1:].strip()]
    return "domains", [line.removeprefix("*.")] if line else []


def _write_urls(files: Sequence[SourceFile], folder: Path) -> None:
    prefixes = []
    for file in files:
        for place, line in enumerate(_lines(file), start=1):
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith("#"):
                if not address(text):
                    raise InputError(
                        f"{file.path}, line {place}: {text[:80]!r} is no URL such as https://example.org/a/"
                    )
                prefixes.append(address(text).encode("utf-8", "replace"))
    Prefixes.write(folder / "urls", prefixes)
