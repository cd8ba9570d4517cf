"""overlap.c under the address and undefined-behaviour sanitisers, on texts of any bytes cut anywhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import ROOT

CHECK = """
import ctypes, sys
import numpy as np
from orfevre.kernels import native, overlap, overlap_numpy

built = ctypes.CDLL(sys.argv[1])
native.library = lambda: built
rng = np.random.default_rng(7)
pieces = [p.encode() for p in ("L'été", "œuvre ", "日本", "a", "bc ", "\\u0301", "\\U00020000", "x" * 70)]
pieces += [b"\\xff", b"\\xe2\\x82", b"\\xf0\\x9f", b"\\xc3", b"\\xed\\xa0\\x80", b" "]
found = 0
for trial in range(60):
    texts = [b"".join(pieces[i] for i in rng.integers(0, len(pieces), n)) for n in rng.integers(0, 6000, 3)]
    texts = [text[: rng.integers(0, len(text) + 1)] for text in texts]
    hashes, counts = overlap.word_hashes(texts)
    assert counts.sum() == len(hashes)
    grams = np.concatenate([overlap_numpy.gram_hashes(hashes, n)[::7] for n in (3, 5, 32)])
    index = overlap.index(grams, overlap_numpy.gram_hashes(hashes, 3), (3, 5, 32), 3)
    found += len(overlap.find(texts, index)[0])
assert found > 1000
print("clean", found)
"""


@pytest.mark.slow
def test_no_byte_is_read_beyond_a_text(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc and its sanitisers")
    runtime = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(asan := runtime.stdout.strip()).is_absolute():
        pytest.skip("gcc has no address sanitiser here")
    library = tmp_path / "overlap.so"
    flags = ["-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = ROOT / "src/orfevre/kernels/overlap.c"
    subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(library)], capture_output=True, text=True, check=False,
        env={"LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("clean")
