"""The rules by which a document is found to be reserved. A rule says why, or None.

A new rule is a class with `name`, `load` and `judge`, and a place in RULES; one of a user's own is named in
curate.optout.extra_rules and found through the Python entry point group `orfevre.optout`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from orfevre.curate import optout_robots
from orfevre.curate.optout_files import address, authority
from orfevre.curate.optout_robots import Line, Robots
from orfevre.curate.optout_tables import HostList, HostTexts, Prefixes
from orfevre.data import forgotten
from orfevre.data.readers.record import Facts
from orfevre.recipe import OptOut

_HOSTS_AT_HAND = 4096


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule may look at."""

    urls: tuple[str, ...]
    """Where the document was fetched from, and what it calls its own address; may be empty."""

    facts: Facts
    licence: str
    """Of the document, else of its source."""


class Rule(Protocol):
    name: ClassVar[str]

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        """The rule as the recipe asks for it, None where it does not; `folder` holds the tables of optout_files."""

    def judge(self, case: Case) -> str | None:
        """Why the document is reserved, for people; None where it is not."""


class Directives:
    """Robots directives in pages and headers: `noai` for all, or for an agent that is ours."""

    name: ClassVar[str] = "directives"
    _WITH_VALUE = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])

    def __init__(self, rules: OptOut) -> None:
        self._reserving = {directive.lower() for directive in rules.directives}
        if "noindex" in self._reserving:
            self._reserving.add("none")  # noindex and nofollow in one word
        self._agents = {"", *(agent.lower() for agent in rules.user_agents)}

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        return cls(rules) if rules.signals and rules.directives else None

    def judge(self, case: Case) -> str | None:
        for signal in case.facts.signals:
            kind, _, value = signal.partition(": ")
            if kind == "x-robots-tag" or kind.partition(" ")[0] == "robots":
                for agent, directive in self._parts(kind.partition(" ")[2], value):
                    if agent in self._agents and directive in self._reserving:
                        return signal
        return None

    def _parts(self, agent: str, value: str) -> Iterator[tuple[str, str]]:
        """(agent, directive) of `noai, otherbot: noindex, nofollow`; the agent is empty where all are meant."""
        for part in value.lower().split(","):
            before, colon, after = (each.strip() for each in part.partition(":"))
            if colon and before not in self._WITH_VALUE:
                agent, before = before, after
            yield agent, before


class Tdm:
    """The TDM Reservation Protocol: header, meta element, and the host's tdmrep.json. Any of them may reserve."""

    name: ClassVar[str] = "tdm"

    def __init__(self, signals: bool, hosts: HostTexts | None) -> None:
        self._signals, self._hosts = signals, hosts
        self._rules = lru_cache(_HOSTS_AT_HAND)(self._parsed)

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        hosts = _host_texts(folder / "tdmrep")
        return cls(rules.signals, hosts) if rules.signals or hosts else None

    def judge(self, case: Case) -> str | None:
        if self._signals and "tdm-reservation: 1" in case.facts.signals:
            policy = next((f", {each}" for each in case.facts.signals if each.startswith("tdm-policy: ")), "")
            return f"tdm-reservation: 1{policy}"
        if self._hosts is None:
            return None
        for url in case.urls[:1]:
            target = optout_robots.normal_path(optout_robots.path_of(url))
            for pattern, reserved, written in self._rules(authority(url)):
                if optout_robots.matches(pattern, target):  # the first in sequence is the most specific
                    if reserved:
                        return f"tdmrep.json: {written}"
                    break
        return None

    def _parsed(self, host: str) -> list[tuple[str, bool, str]]:
        assert self._hosts is not None
        try:
            table = json.loads(self._hosts.find(host) or b"[]")
        except (ValueError, RecursionError):  # a protocol error: nothing is said
            return []
        found = []
        for row in table if isinstance(table, list) else []:
            if isinstance(row, dict) and isinstance(row.get("location"), str):
                reserved = str(row.get("tdm-reservation")) in ("1", "1.0", "True")
                pattern = optout_robots.normal_pattern(row["location"].partition("#")[0].strip())
                found.append((pattern, reserved, json.dumps(row, ensure_ascii=False)[:200]))
        return found


class RobotsTxt:
    """robots.txt, for each of our agents."""

    name: ClassVar[str] = "robots"
    _FILE = "robots"
    _WRITTEN = "robots.txt"

    def __init__(self, agents: tuple[str, ...], hosts: HostTexts) -> None:
        self._agents, self._hosts = agents, hosts
        self._robots = lru_cache(_HOSTS_AT_HAND)(self._parsed)

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        hosts = _host_texts(folder / cls._FILE)
        return cls(rules.user_agents, hosts) if hosts and rules.user_agents else None

    def judge(self, case: Case) -> str | None:
        for url in case.urls[:1]:
            robots = self._robots(authority(url))
            if robots is not None:
                for agent in self._agents:
                    if line := self._verdict(robots, agent, url, case.facts):
                        return f"{self._WRITTEN} for {agent}: {line.written}"
        return None

    def _verdict(self, robots: Robots, agent: str, url: str, facts: Facts) -> Line | None:
        return robots.verdict(agent, optout_robots.path_of(url))

    def _parsed(self, host: str) -> Robots | None:
        text = self._hosts.find(host)
        if text is None:
            return None
        return optout_robots.parse(text[: optout_robots.MAX_BYTES].decode("utf-8", "replace"))


class AiTxt(RobotsTxt):
    """ai.txt as Spawning writes it: robots.txt's grammar, and patterns of file types (`*.html`) beside paths.

    A page without a suffix in its address counts as `.html` where it was sent as HTML.
    """

    name: ClassVar[str] = "ai_txt"
    _FILE = "ai_txt"
    _WRITTEN = "ai.txt"
    _TYPE = re.compile(r"\*\.[A-Za-z0-9]+")

    def _verdict(self, robots: Robots, agent: str, url: str, facts: Facts) -> Line | None:
        path = optout_robots.path_of(url).partition("?")[0]
        if "html" in facts.media_type and "." not in path.rpartition("/")[2]:
            path += ".html"
        target = optout_robots.normal_path(path)
        best = optout_robots.most_specific(map(self._typed, robots.lines_for(agent)), target)
        return None if best is None or best.allows else best

    def _typed(self, line: Line) -> Line:
        """`*.html` means the end of an address."""
        is_type = self._TYPE.fullmatch(line.pattern) is not None
        return Line(line.allows, f"{line.pattern}$", line.written) if is_type else line


class Domains:
    """Lists of hosts."""

    name: ClassVar[str] = "domains"

    def __init__(self, folder: Path) -> None:
        self._below, self._alone = HostList(folder / "domains"), HostList(folder / "hosts")
        self._files: list[str] = json.loads((folder / "domains.files.json").read_text(encoding="utf-8"))
        self._found = lru_cache(_HOSTS_AT_HAND)(self._find)

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        return cls(folder) if rules.domains else None

    def judge(self, case: Case) -> str | None:
        return next((found for url in case.urls if (found := self._found(forgotten.normal_domain(url)))), None)

    def _find(self, host: str) -> str | None:
        number = self._alone.find(host) if host else None
        rest = host
        while number is None and rest:
            number = self._below.find(rest)
            if number is None:
                rest = rest.partition(".")[2]
        return None if number is None else f"{rest} in {self._files[number]}"


class Urls:
    """Lists of URL prefixes."""

    name: ClassVar[str] = "urls"

    def __init__(self, folder: Path) -> None:
        self._prefixes = Prefixes(folder / "urls")

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        return cls(folder) if rules.urls else None

    def judge(self, case: Case) -> str | None:
        for url in case.urls:
            if found := self._prefixes.find(address(url).encode("utf-8", "replace")):
                return found.decode("utf-8", "replace")
        return None


class Licences:
    """Licences that the recipe asks for or refuses."""

    name: ClassVar[str] = "licences"

    def __init__(self, rules: OptOut) -> None:
        self._allow, self._deny = rules.licences_allow, rules.licences_deny

    @classmethod
    def load(cls, rules: OptOut, folder: Path) -> Self | None:
        return cls(rules) if rules.licences_allow or rules.licences_deny else None

    def judge(self, case: Case) -> str | None:
        licence = case.licence.lower()
        if found := next((pattern for pattern in self._deny if fnmatchcase(licence, pattern.lower())), None):
            return f"{case.licence} matches {found}"
        if self._allow and not any(fnmatchcase(licence, pattern.lower()) for pattern in self._allow):
            return f"{case.licence} is none of {', '.join(self._allow)}"
        return None


RULES: dict[str, Any] = {rule.name: rule for rule in (Directives, Tdm, RobotsTxt, AiTxt, Domains, Urls, Licences)}
"""By name, in the order they are asked."""


def _host_texts(stem: Path) -> HostTexts | None:
    return HostTexts(stem) if stem.with_suffix(".keys.npy").is_file() else None
