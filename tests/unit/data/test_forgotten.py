"""Rules of forgetting: what they match, and that they are kept whole."""

import json
from pathlib import Path

import pytest

from orfevre.data import forgotten
from orfevre.data.forgotten import Matcher, rule
from orfevre.errors import InputError

ID = "0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("HTTPS://Example.ORG:443/A?b=C#part", "https://example.org/A?b=C"),
        ("http://example.org", "http://example.org/"),
        ("http://example.org:8080/", "http://example.org:8080/"),
        ("https://bücher.example/é", "https://xn--bcher-kva.example/é"),
        ("example.org/page", ""), ("https://", ""), ("http://a b/", ""), ("http://[", ""),
    ],
)  # fmt: skip
def test_urls_are_brought_to_one_form(given: str, normal: str) -> None:
    assert forgotten.normal_url(given) == normal


@pytest.mark.parametrize(
    ("kind", "value", "address", "hit"),
    [
        ("url", "https://example.org/a", "HTTPS://example.org/a#top", True),
        ("url", "https://example.org/a", "https://example.org/a/", False),
        ("url", "https://example.org/a", "https://example.org/a?x", False),
        ("domain", "Example.org", "http://www.example.org/any", True),
        ("domain", "example.org", "http://example.org:81/", True),
        ("domain", "example.org", "http://notexample.org/", False),
        ("domain", "www.example.org", "http://example.org/", False),
        ("url", "https://example.org/file.jsonl", "https://example.org/file.jsonl#12", True),
        ("domain", "example.org", "example.org/path", False),
    ],
)
def test_what_an_address_matches(kind: forgotten.Kind, value: str, address: str, hit: bool) -> None:
    found = Matcher([rule(kind, value)]).match(ID, ["", address])
    assert (found is not None) == hit


def test_an_id_matches_whatever_the_address() -> None:
    matcher = Matcher([rule("id", ID.upper())])
    assert matcher.match(ID, []) and not matcher.match("f" * 16, ["https://example.org/"])


@pytest.mark.parametrize(("kind", "value"), [("url", "example.org"), ("domain", "  "), ("id", "12"), ("id", "g" * 16)])
def test_a_rule_that_can_match_nothing_is_refused(kind: forgotten.Kind, value: str) -> None:
    with pytest.raises(InputError, match=f"--{kind}"):
        rule(kind, value)


def test_rules_are_added_once_and_the_digest_follows(tmp_path: Path) -> None:
    assert forgotten.read(tmp_path) == [] and forgotten.digest(tmp_path) == ""
    first, second = rule("domain", "example.org", "2026-01-05", "asked"), rule("id", ID)
    assert forgotten.append(tmp_path, [first]) == [first]
    before = forgotten.digest(tmp_path)
    assert forgotten.append(tmp_path, [rule("domain", "EXAMPLE.org"), second, second]) == [second]
    assert forgotten.read(tmp_path) == [first, second]
    assert forgotten.digest(tmp_path) != before
    lines = (tmp_path / forgotten.FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"domain": "example.org", "date": "2026-01-05", "reason": "asked"}, {"id": ID},
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["no json", '{"page": "x"}', "[]", '{"id": "zz"}', '{"url": 3}'])
def test_a_damaged_rule_is_an_error_with_its_line(line: str, tmp_path: Path) -> None:
    (tmp_path / forgotten.FILE).write_text(f'{{"id": "{ID}"}}\n\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 3"):
        forgotten.read(tmp_path)
