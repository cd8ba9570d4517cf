"""The time limit cuts a slow body short, leaves a quick one alone, and leaves no timer behind."""

import signal
import threading
import time

import pytest

from orfevre.data.readers.limits import TooSlowError, time_limit


def spin() -> None:
    while True:
        pass


def idle() -> bool:
    return signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_a_slow_body_is_cut_short() -> None:
    with pytest.raises(TooSlowError), time_limit(0.01):
        spin()
    assert idle()


def test_a_body_that_swallows_the_first_alarm_is_cut_by_the_next() -> None:
    with pytest.raises(TooSlowError), time_limit(0.01):
        try:
            spin()
        except TooSlowError:
            spin()
    assert idle()


def test_an_alarm_in_other_clothes_is_known() -> None:
    with pytest.raises(TooSlowError), time_limit(0.01):
        try:
            spin()
        except TooSlowError as alarm:
            raise ValueError("argument 1: " + str(alarm)) from alarm  # as ctypes does
    assert idle()


def test_a_quick_body_is_left_alone() -> None:
    with time_limit(60):
        value = 3
    assert value == 3 and idle()
    with pytest.raises(KeyError), time_limit(60):
        raise KeyError
    assert idle()


def test_the_outer_limit_rings_inside_a_longer_one_and_goes_on_after_a_shorter_one() -> None:
    with pytest.raises(TooSlowError), time_limit(0.02), time_limit(60):
        spin()
    with pytest.raises(TooSlowError), time_limit(0.05):
        with pytest.raises(TooSlowError), time_limit(0.01):
            spin()
        spin()
    assert idle()


def test_in_a_thread_the_slow_are_told_at_the_end() -> None:
    raised: list[bool] = []

    def work(seconds: float) -> None:
        try:
            with time_limit(seconds):
                time.sleep(0.01)
            raised.append(False)
        except TooSlowError:
            raised.append(True)

    for seconds in (0.001, 60.0):
        thread = threading.Thread(target=work, args=(seconds,))
        thread.start()
        thread.join()
    assert raised == [True, False]
