"""robots.txt as RFC 9309 has it: groups, the longest match, special characters, escapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.curate.optout_robots import matches, normal_path, normal_pattern, parse, path_of

EXAMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
"""The file of RFC 9309, section 5.1."""


def allows(text: str, agent: str, path: str) -> bool:
    return parse(text).verdict(agent, path) is None


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("anybot", "/example/x", False),
        ("anybot", "/a.gif", False),
        ("anybot", "/a.gif?x", True),
        ("anybot", "/publications/a", True),
        ("anybot", "/", True),
        ("FooBot", "/", False),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/publications/", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/example/", True),
        ("quxbot", "/example/page.html", True),
        ("foobot", "/robots.txt", True),
    ],
)
def test_the_simple_example_of_the_standard(agent: str, path: str, allowed: bool) -> None:
    assert allows(EXAMPLE, agent, path) is allowed


def test_the_longest_match_decides() -> None:
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert allows(text, "foobot", "/example/page/")
    assert not allows(text, "foobot", "/example/page/disallowed.gif")


def test_groups_that_name_an_agent_are_one() -> None:
    text = (
        "user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\n"
        "user-agent: otherbot\ndisallow: /\n\nuser-agent: ExampleBot\ndisallow: /baz\n"
    )
    assert [line.pattern for line in parse(text).lines_for("examplebot")] == ["/foo", "/bar", "/baz"]
    assert allows(text, "examplebot", "/qux") and not allows(text, "examplebot", "/baz/x")


def test_allow_beats_disallow_of_equal_length() -> None:
    assert allows("User-agent: *\nDisallow: /folder\nAllow: /folder\n", "a", "/folder/page")
    assert not allows("User-agent: *\nAllow: /fol\nDisallow: /folder\n", "a", "/folder/page")


def test_an_agent_with_a_group_of_its_own_is_not_bound_by_the_star() -> None:
    text = "User-agent: *\nDisallow: /\n\nUser-agent: GPTBot\nDisallow: /private\n"
    assert allows(text, "gptbot", "/public") and not allows(text, "ccbot", "/public")


def test_other_lines_do_not_part_a_group() -> None:
    text = "Sitemap: https://example.org/map\nUser-agent: a\nCrawl-delay: 5\nUser-agent: b\n\nDisallow: /x\nnonsense\n"
    assert not allows(text, "a", "/x") and not allows(text, "b", "/x")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_line_ends_comments_mark_and_versions(end: str) -> None:
    text = end.join(["\ufeffUSER-AGENT : GPTBot/1.1 # them", " DisAllow : /a # why", "Disallow:"])
    assert not allows(text, "gptbot", "/a/b") and allows(text, "gptbot", "/b")


def test_lines_before_any_group_bind_nobody() -> None:
    assert allows("Disallow: /\nUser-agent: a\nDisallow: /a\n", "a", "/b")


@pytest.mark.parametrize(
    ("pattern", "path", "matching"),
    [  # the table of section 2.2.2, and escapes of section 2.2.3
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/ツ", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/a%2Fb", "/a/b", False),
        ("/this/path/exactly$", "/this/path/exactly", True),
        ("/this/path/exactly$", "/this/path/exactly/not", False),
        ("/this/*/exactly", "/this/longer/path/exactly/so", True),
        ("/*.php$", "/a.php?x=1", False),
        ("/*.php$", "/a.php.php", True),
        ("/a*a$", "/a", False),
        ("/", "/anything", True),
        ("/fish*", "/fish.html", True),
        ("/fish", "/Fish", False),
    ],
)
def test_patterns(pattern: str, path: str, matching: bool) -> None:
    assert matches(normal_pattern(pattern), normal_path(path)) is matching


@given(st.lists(st.sampled_from(["a", "b", "/", "*", "$"]), max_size=8), st.text("ab/", max_size=10))
def test_patterns_match_as_a_regular_expression_would(pieces: list[str], path: str) -> None:
    import re

    pattern = "".join(pieces)
    body = pattern.removesuffix("$")
    wanted = "".join(".*" if char == "*" else re.escape(char) for char in body) + (r"\Z" if pattern != body else "")
    assert matches(pattern, path) is (re.match(wanted, path) is not None)


@given(st.text(max_size=200), st.text(max_size=30))
def test_any_file_gives_a_verdict(text: str, path: str) -> None:
    robots = parse("User-agent: *\n" + text)
    verdict = robots.verdict("gptbot", "/" + path)
    assert verdict is None or not verdict.allows


def test_stars_do_not_blow_up() -> None:
    assert not matches("/" + "a*" * 2000 + "b$", "/" + "a" * 20_000)


def test_the_path_of_a_url_has_its_query() -> None:
    assert path_of("https://example.org/a/b?c=d#e") == "/a/b?c=d" and path_of("https://example.org") == "/"
