"""What must not be used again: `<work>/<recipe name>/forgotten.jsonl`, a rule a line, and what a rule matches.

    {"url": "https://example.org/page", "date": "2026-01-05", "reason": "asked by its author"}
    {"domain": "example.org", ...}        the host and every host below it
    {"id": "0123456789abcdef", ...}       one document

A URL matches exactly, after its scheme and host are lower-cased and its default port and fragment are gone.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from orfevre import artifact
from orfevre.errors import InputError

FILE = "forgotten.jsonl"
Kind = Literal["url", "domain", "id"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_RECORD = re.compile(r"#(\d+|end)$")


@dataclass(frozen=True)
class Rule:
    kind: Kind
    value: str
    """As `rule` normalises it."""

    date: str = ""
    """When it was asked, ISO 8601."""

    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


def rule(kind: Kind, value: str, date: str = "", reason: str = "") -> Rule:
    """A rule with its value brought to the form that is compared. Raises InputError for one that can match nothing."""
    normal = {"url": normal_url, "domain": normal_domain, "id": _normal_id}[kind](value)
    if not normal:
        expected = {
            "url": "a URL with a scheme and a host, such as https://example.org/page",
            "domain": "a host, such as example.org",
            "id": "a document's id: 16 hexadecimal digits, as `orfevre trace` prints it",
        }[kind]
        raise InputError(f"--{kind} {value!r}: not {expected}")
    return Rule(kind, normal, date, reason)


def read(run_folder: Path) -> list[Rule]:
    """The rules of a run, in the order they were asked; none without a file. Raises InputError naming file and line."""
    path = run_folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); mend it by hand, it says what must be forgotten") from None
    return [_parsed(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def append(run_folder: Path, rules: Iterable[Rule]) -> list[Rule]:
    """Add rules that are not there yet, whole or not at all, and return them. The folder is made if need be."""
    before = read(run_folder)
    known = {(each.kind, each.value) for each in before}
    new = {(each.kind, each.value): each for each in rules if (each.kind, each.value) not in known}
    if new:
        run_folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(_table(each), ensure_ascii=False) + "\n" for each in (*before, *new.values())]
        artifact.write_text(run_folder / FILE, "".join(lines))
    return list(new.values())


def digest(run_folder: Path) -> str:
    """Changes when a rule is added; empty without rules. Dates and reasons do not count."""
    lines = sorted(f"{each.kind}\0{each.value}\n" for each in read(run_folder))
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


class Matcher:
    """Finds the rule that a document falls under."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._ids, self._urls, self._domains = (
            {each.value: each for each in rules if each.kind == kind} for kind in ("id", "url", "domain")
        )
        self._by_address = bool(self._urls or self._domains)

    def match(self, identity: str, addresses: Iterable[str]) -> Rule | None:
        """`addresses`: the document's URLs, and its location, which counts where it is a URL; empty ones are fine."""
        if found := self._ids.get(identity):
            return found
        if self._by_address:
            for address in addresses:
                if "://" in address and (found := self._match_address(_RECORD.sub("", address))):
                    return found
        return None

    def _match_address(self, address: str) -> Rule | None:
        if found := self._urls.get(normal_url(address)):
            return found
        host = normal_domain(address)
        while host:
            if found := self._domains.get(host):
                return found
            host = host.partition(".")[2]
        return None


def normal_url(url: str) -> str:
    """Scheme and host in lower case, no default port, no fragment, `/` for an empty path; empty if it is no URL."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    host = _normal_host(parts.hostname or "")
    if not parts.scheme or not host:
        return ""
    where = host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"
    return f"{parts.scheme}://{where}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")


def normal_domain(text: str) -> str:
    """The host of a domain or URL, lower case, in ASCII (IDNA); empty if there is none."""
    text = text.strip()
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return _normal_host(host)


def _normal_host(host: str) -> str:
    host = host.strip(".").lower()
    if not host or any(char.isspace() for char in host):
        return ""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _normal_id(text: str) -> str:
    text = text.strip().lower()
    return text if re.fullmatch(r"[0-9a-f]{16}", text) else ""


def _table(each: Rule) -> dict[str, str]:
    rest = {key: value for key, value in asdict(each).items() if key in ("date", "reason") and value}
    return {each.kind: each.value} | rest


def _parsed(path: Path, number: int, line: str) -> Rule:
    try:
        table = json.loads(line)
        kind = next(kind for kind in get_args(Kind) if kind in table)
        return rule(kind, str(table[kind]), str(table.get("date", "")), str(table.get("reason", "")))
    except (ValueError, TypeError, StopIteration):
        raise InputError(
            f'{path}, line {number}: {line[:80]!r} is no rule such as {{"url": "https://example.org/page"}}; mend it '
            "by hand, it says what must be forgotten"
        ) from None
