"""The rules a document must pass, as recipe.Quality documents them. Each verdict names its reason and the figure."""

import re
import string
from collections.abc import Callable, Sequence

from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit
from orfevre.recipe import Quality

_LETTERS_AND_SPACE = (string.ascii_letters + " \t\n").encode()
_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def step(unit: Unit) -> Step:
    def judge_all(drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            draft.drop = judge(draft.text, unit.curate.quality, draft.is_code)

    return judge_all


def judge(text: str, rules: Quality, is_code: bool) -> Drop | None:
    """The first rule that a normalised text breaks, or None. Lengths are counted in characters."""
    if not text:
        return Drop("no_text", "")
    if len(text) < rules.min_chars:
        return Drop("too_short", f"{len(text)} characters")
    if len(text) > rules.max_chars:
        return Drop("too_long", f"{len(text)} characters")
    return _judge_code(text, rules) if is_code else _judge_prose(text, rules)


def _judge_code(text: str, rules: Quality) -> Drop | None:
    longest = max(map(len, text.split("\n")))
    if longest > rules.max_line_chars:
        return Drop("long_line", f"{longest} characters in one line")
    share = _share(text, _ALPHANUMERIC, str.isalnum)
    if share < rules.min_alphanumeric_fraction:
        return Drop("few_alphanumerics", f"{share:.3f} of characters are letters or digits")
    return None


def _judge_prose(text: str, rules: Quality) -> Drop | None:
    share = _share(text, _LETTERS_AND_SPACE, _letter_or_space)
    if share < rules.min_letter_fraction:
        return Drop("few_letters", f"{share:.3f} of characters are letters or white space")
    words = text.split()
    mean = sum(map(len, words)) / len(words)
    if not rules.min_mean_word_length <= mean <= rules.max_mean_word_length:
        return Drop("word_length", f"mean of {mean:.2f} characters")
    repeated = _repeated_lines(text)
    if repeated > rules.max_duplicate_line_fraction:
        return Drop("repeated_lines", f"{repeated:.3f} of lines repeat an earlier one")
    return None


def _repeated_lines(text: str) -> float:
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    return 1.0 - len(set(lines)) / len(lines)


def _letter_or_space(char: str) -> bool:
    return char.isalpha() or char.isspace()


def _share(text: str, ascii_members: bytes, is_member: Callable[[str], bool]) -> float:
    """Share of characters in a class. ASCII is counted by one pass in C; only the rest is looked at one by one."""
    plain = text.encode("ascii", "ignore")
    count = len(plain) - len(plain.translate(None, ascii_members))
    if len(plain) < len(text):
        count += sum(map(is_member, "".join(_NOT_ASCII.findall(text))))
    return count / len(text)
