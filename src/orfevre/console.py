"""The only place that prints: results to stdout, everything else to stderr, readable without colour."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""

_out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

_STEERING = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""Control characters, escape sequences among them."""

PLAIN_INTERVAL_SECONDS = 10.0
"""Without a terminal, progress is a line this often."""


def result(text: str) -> None:
    """A result: to stdout, exactly as given."""
    stream(text + "\n")


def stream(text: str) -> None:
    """A piece of a result that grows: to stdout at once, without a line's end.

    Exactly as given (rich would make spaces of tabs), but what a model writes must not steer a terminal.
    """
    _out.file.write(text.translate(_STEERING) if _out.is_terminal else text)
    _out.file.flush()


def say(text: str) -> None:
    """What is going on: to stderr."""
    _err.print(text, markup=False)


def warn(text: str) -> None:
    _err.print(f"[yellow]warning:[/yellow] {escape(text)}")


def error(text: str) -> None:
    _err.print(f"[bold red]error:[/bold red] {escape(text)}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """A table on stdout; columns of numbers are set to the right. Lines are as long as their cells when piped."""
    grid = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        numeric = all(row[index][:1].isdigit() or row[index][:1] in "-+" for row in rows if row[index])
        grid.add_column(column, justify="right" if rows and numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    _out.print(grid)


def width() -> int:
    """Columns of stdout."""
    return _out.width


def quantity(amount: float, unit: str) -> str:
    """12345678 B -> `12.3 MB`; other units likewise with k, M, G."""
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= scale:
            return f"{amount / scale:.3g} {prefix}{unit}"
    return f"{amount:.3g} {unit}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


class Bar:
    """Progress of one long piece of work; `advance` it, and `show` words that change (a loss, say)."""

    def __init__(self, label: str, total: float, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0.0
        self.words = ""
        self.started = time.monotonic()
        self._initial = 0.0
        self._printed = self.started
        self._live: Progress | None = None

    def advance(self, amount: float = 1.0) -> None:
        self.done += amount
        self._draw()

    def skip(self, amount: float) -> None:
        """Work that an earlier attempt had done: counts as done, not towards the rate."""
        self.done += amount
        self._initial += amount
        self._draw()

    def show(self, words: str) -> None:
        self.words = words

    @property
    def rate(self) -> float:
        return (self.done - self._initial) / max(time.monotonic() - self.started, 1e-9)

    def line(self) -> str:
        share = 100 * self.done / self.total if self.total else 100.0
        known = self.rate > 0 and self.done < self.total
        ending = f", {duration((self.total - self.done) / self.rate)} left" if known else ""
        words = f", {self.words}" if self.words else ""
        return f"{self.label}: {share:.0f} %, {quantity(self.rate, self.unit)}/s{words}{ending}"

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=self.done, rate=self.rate, words=self.words)
        elif time.monotonic() - self._printed >= PLAIN_INTERVAL_SECONDS:
            self._printed = time.monotonic()
            say(self.line())


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{quantity(task.fields['rate'], self.unit)}/s")


@contextmanager
def progress(label: str, total: float, unit: str) -> Iterator[Bar]:
    """A live bar on a terminal, a line every ten seconds elsewhere; gone when the work is done."""
    bar = Bar(label, total, unit)
    if not _err.is_terminal:
        yield bar
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(unit),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err, transient=True) as live:
        live.add_task(label, total=total, rate=0.0, words="")
        bar._live = live
        yield bar
