"""Without the extension the twin does the work, and says so once."""

import numpy as np
import pytest

from orfevre.kernels import minhash, native


def test_the_twin_takes_over_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = [b"one two three four five six", b""]
    expected, counts = minhash.signatures(text, 32)
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr("orfevre.console.warn", print)
    native.say_if_missing.cache_clear()
    native.say_if_missing()
    native.say_if_missing()
    assert capsys.readouterr().out.count("not built") == 1
    native.say_if_missing.cache_clear()
    found, found_counts = minhash.signatures(text, 32)
    assert np.array_equal(found, expected) and np.array_equal(found_counts, counts)
