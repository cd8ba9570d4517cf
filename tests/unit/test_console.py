"""Numbers read well, progress says how far, how fast and how long."""

import pytest

from orfevre import console


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "0 B"), (999, "999 B"), (12_345_678, "12.3 MB"), (2e12, "2 TB"), (1500, "1.5 kB")]
)
def test_quantity(amount: float, words: str) -> None:
    assert console.quantity(amount, "B") == words


@pytest.mark.parametrize(("seconds", "words"), [(3.14, "3.1 s"), (61, "1 min 01 s"), (3720, "1 h 02 min")])
def test_duration(seconds: float, words: str) -> None:
    assert console.duration(seconds) == words


def test_bar_line_counts_only_new_work_in_its_rate() -> None:
    bar = console.Bar("read", 100.0, "B")
    bar.skip(50.0)
    assert bar.rate == 0 and "left" not in bar.line()
    bar.started -= 10.0  # as if ten seconds had passed
    bar.advance(25.0)
    assert bar.rate == pytest.approx(2.5, rel=0.01)
    assert bar.line().startswith("read: 75 %, 2.5 B/s, ") and bar.line().endswith(" left")


def test_words_with_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.result("sources[0] [bold]x[/bold]")
    console.error("sources[0] (a).paths")
    captured = capsys.readouterr()
    assert captured.out == "sources[0] [bold]x[/bold]\n"
    assert "sources[0] (a).paths" in captured.err


def test_results_come_out_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\tif x:\r\n  :smile: [/red] \x1b[31m\x07 é 文"
    console.stream(text)
    console.result(text)
    assert capsys.readouterr().out == text + text + "\n"


def test_what_a_model_writes_does_not_steer_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console._out, "_force_terminal", True)
    console.stream("a\tb\n\x1b]0;title\x07\x9b2J é")
    assert capsys.readouterr().out == "a\tb\n\ufffd]0;title\ufffd\ufffd2J é"
