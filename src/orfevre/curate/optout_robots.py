"""robots.txt as RFC 9309 reads it, and the patterns that TDMRep and ai.txt have taken over from it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_BYTES = 500 * 1024
"""What of a robots.txt is read: the least that RFC 9309, section 2.5, demands."""

_TOKEN = re.compile(r"[a-z_-]+")
_ESCAPED = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Line:
    """An allow or disallow line."""

    allows: bool
    pattern: str
    """As `normal_pattern` leaves it."""

    written: str
    """The line as it stands, for people."""


@dataclass(frozen=True, slots=True)
class Robots:
    """The groups of a file: (product tokens in lower case, lines)."""

    groups: tuple[tuple[frozenset[str], tuple[Line, ...]], ...]

    def lines_for(self, agent: str) -> list[Line]:
        """The lines that bind an agent: those of every group that names it, else those for `*` (section 2.2.1)."""
        agent = agent.lower()
        named = [lines for agents, lines in self.groups if agent in agents]
        chosen = named or [lines for agents, lines in self.groups if "*" in agents]
        return [line for lines in chosen for line in lines]

    def verdict(self, agent: str, path: str) -> Line | None:
        """The line that forbids a path (with its query) to an agent; None where it is allowed.

        The longest pattern that matches decides, `allow` where an allow and a disallow line are equally long (section
        2.2.2); /robots.txt itself is always allowed.
        """
        target = normal_path(path)
        if target == "/robots.txt":
            return None
        best = most_specific(self.lines_for(agent), target)
        return None if best is None or best.allows else best


def most_specific(lines: Iterable[Line], target: str) -> Line | None:
    """Of the lines that match a path (as `normal_path` leaves it) the longest, an allowing one before others."""
    matching = [line for line in lines if matches(line.pattern, target)]
    return max(matching, key=lambda line: (len(line.pattern.encode()), line.allows), default=None)


def parse(text: str) -> Robots:
    """The groups of a robots.txt. Whatever is no user-agent, allow or disallow line is passed over."""
    groups: list[tuple[frozenset[str], tuple[Line, ...]]] = []
    agents: set[str] = set()
    lines: list[Line] = []
    fresh = True  # the next user-agent line begins a group
    for written in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        key, colon, value = written.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon or key not in ("user-agent", "allow", "disallow"):
            continue
        if key == "user-agent":
            if fresh:
                _close(groups, agents, lines)
                agents, lines, fresh = set(), [], False
            agents.add(_product(value))
        else:
            fresh = True
            if value:  # an empty pattern matches nothing
                lines.append(Line(key == "allow", normal_pattern(value), f"{key}: {value}"))
    _close(groups, agents, lines)
    return Robots(tuple(groups))


def _close(groups: list[tuple[frozenset[str], tuple[Line, ...]]], agents: set[str], lines: Sequence[Line]) -> None:
    named = frozenset(agents - {""})
    if named:  # lines before any user-agent line bind nobody
        groups.append((named, tuple(lines)))


def _product(value: str) -> str:
    """`GPTBot/1.1 (...)` names the product `gptbot`."""
    value = value.lower()
    if value.startswith("*"):
        return "*"
    match = _TOKEN.match(value)
    return match[0] if match else ""


def path_of(url: str) -> str:
    """Path and query of a URL; `/` where it has no path. Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def normal_path(path: str) -> str:
    """A path in the form that is compared (section 2.2.2); signs that are special in patterns are escaped."""
    return _normal(path).replace("*", "%2A").replace("$", "%24")


def normal_pattern(pattern: str) -> str:
    return _normal(pattern)


def _normal(text: str) -> str:
    """Escapes in capitals, unreserved characters bare, everything beyond ASCII (and spaces) as escaped UTF-8."""
    text = _ESCAPED.sub(_unescaped, text)
    if text.isascii() and " " not in text:
        return text
    return "".join(char if "!" <= char <= "~" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))


def _unescaped(match: re.Match[str]) -> str:
    char = chr(int(match[0][1:], 16))
    return char if char in _UNRESERVED else match[0].upper()


def matches(pattern: str, target: str) -> bool:
    """Whether a pattern matches a path from its beginning; `*` is any run of characters, a last `$` the path's end.

    Time grows with the length of both, whatever stars there are.
    """
    ends = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*") if ends else pattern.split("*")
    if not target.startswith(first):
        return False
    if not rest:
        return not ends or len(target) == len(first)
    place = len(first)
    for part in rest[:-1] if ends else rest:
        found = target.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return not ends or (len(target) - len(rest[-1]) >= place and target.endswith(rest[-1]))
