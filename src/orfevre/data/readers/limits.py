"""A limit on the time one document may take, in any process and thread that reads."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

RETRY_SECONDS = 0.25
"""The alarm rings again at this pace, in case something swallowed the first one."""


MESSAGE = "took longer than curate.reading.max_seconds"


class TooSlowError(Exception):
    """A document took longer than it may. Count it as `timeout` and go on."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the body after `seconds` of wall time.

    An interval timer (SIGALRM) does it, so it works in the main thread of a process, which is where a runner's work
    runs; an alarm interrupts Python code between two instructions, and C code when it returns or asks for signals. Any
    other error that leaves a body after its time is taken for the alarm.
    In another thread signals cannot be had: there a body that was too slow raises at its end, counted all the same but
    not cut short. Limits may be nested; the one that ends first rings.
    """
    if threading.current_thread() is not threading.main_thread():
        yield from _late_limit(seconds)
        return
    outer, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < outer <= seconds:  # the enclosing limit rings first
        yield
        return
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, RETRY_SECONDS)
    try:
        yield
    except Exception as error:
        # what calls back from C may dress the alarm up as its own error: ctypes makes it an ArgumentError
        if time.monotonic() - started < seconds or isinstance(error, TooSlowError):
            raise
        raise TooSlowError(MESSAGE) from error
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        finally:  # should the alarm ring in the very line that stops it
            left = max(outer - (time.monotonic() - started), 1e-3) if outer else 0.0
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, left, RETRY_SECONDS if left else 0.0)


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(MESSAGE)


def _late_limit(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    if time.monotonic() - started > seconds:
        raise TooSlowError(MESSAGE)
