"""All text kernels under the address and undefined-behaviour sanitisers: hostile bytes, then the kernels' own tests.

The kernels are compiled anew into one library, which takes the place of the built one in a child process. Buffers come
from the sanitiser's malloc, so a read or write beyond any of them ends the child with a report.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.places import ROOT

KERNELS = ROOT / "src/orfevre/kernels"
OF_MODELS = {"attend", "decode", "matmul", "pool", "products", "sublayers", "team", "train"}
"""Kernels that see no text; their tests are of numbers."""

CHILD = """
import ctypes, sys
import numpy as np
from orfevre.kernels import native

built = ctypes.CDLL(sys.argv[1])
native.library = lambda: built
from orfevre.kernels import features, minhash, mojibake, overlap, personal, quality, spelling, tokens

rng = np.random.default_rng(11)
WHOLE = [
    "L'été", "œuvre ", "日本", "a", "bc ", "\\u0301", "\\U00020000", "x" * 70, "\\n", "\\r", "\\0", "{", "}", "... ",
    "…", "javascript", "lorem ipsum ", "terms of use", "[1]", "•", "- ", "Ã©", "â€™", "a@b.fr ", "+33 6 12 34 56 78 ",
    "192.168.0.1 ", "FR76 3000 6000 0112 3456 7890 189 ", "4111 1111 1111 1111 ", "2001:db8::1 ", "I have ", "#",
    "\\u2028", "\\ufeff",
]
BROKEN = [
    b"\\xff", b"\\xe2\\x82", b"\\xf0\\x9f", b"\\xf0\\x9f\\x98", b"\\xc3", b"\\xed\\xa0\\x80", b"\\xf4\\x90\\x80\\x80",
    b"\\xc0\\x80", b"\\x80",
]
PIECES = [piece.encode() for piece in WHOLE] + BROKEN

def hostile(trial):
    kind = trial % 4
    if kind == 0:
        return [rng.bytes(int(n)) for n in rng.integers(0, 400, 3)]
    if kind == 1:
        return [PIECES[int(rng.integers(len(PIECES)))] * int(n) for n in rng.integers(0, 300, 3)]
    texts = [b"".join(PIECES[i] for i in rng.integers(0, len(PIECES), n)) for n in rng.integers(0, 300, 4)]
    return [text[: rng.integers(0, len(text) + 1)] for text in texts]

RUNS = {
    "minhash": lambda texts: (minhash.signatures(texts, 64), minhash.sets(texts), minhash.lines(texts)),
    "quality": lambda texts: quality.measure(texts, quality.Asked(
        ~(-1 << 20), ("the", "le", "和", "à"), ".?!", "…", 30, quality.Lines())),
    "personal": personal.find,
    "mojibake": mojibake.find,
    "spelling": spelling.flags,
    "features": lambda texts: [features.rows(texts, features.Grams(bits)) for bits in (1, 16)],
    "overlap": lambda texts: overlap.word_hashes(texts),
    "tokens": lambda texts: tokens.count_text(
        np.frombuffer(b"".join(texts), np.uint8), np.cumsum([0, *map(len, texts)])),
}
for trial in range(400):
    texts = hostile(trial)
    for one in ([texts[-1]], texts, []):  # alone, the end of a text is the end of its buffer
        for name, run in RUNS.items():
            run(one)
print("hostile bytes: clean", len(RUNS), flush=True)

import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--hypothesis-seed=3", *sys.argv[2:]]))
"""


FLAGS = ["-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture
def build(tmp_path: Path) -> Callable[[list[str]], str]:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc and its sanitisers")

    def built(sources: list[str]) -> str:
        library = tmp_path / "text.so"
        subprocess.run([compiler, *FLAGS, *sources, "-o", str(library), "-lm"], check=True)
        return str(library)

    return built


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A child whose malloc is the sanitiser's."""
    asked = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(asan := asked.stdout.strip()).is_absolute():
        pytest.skip("gcc has no address sanitiser here")
    options = "detect_leaks=0:allocator_may_return_null=1"
    environment = os.environ | {"LD_PRELOAD": asan, "ASAN_OPTIONS": options, "PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


@pytest.mark.slow
def test_the_sanitiser_sees_a_read_beyond_a_text(build: Callable[[list[str]], str], tmp_path: Path) -> None:
    source = tmp_path / "over.c"
    source.write_text("int over(const unsigned char *text, long n) { return text[n + 8]; }\n")
    done = run("import ctypes, sys; ctypes.CDLL(sys.argv[1]).over(b'text' * 999, 3996)", build([str(source)]))
    assert done.returncode != 0 and "heap-buffer-overflow" in done.stderr


@pytest.mark.slow
def test_text_kernels_stay_inside_their_buffers(build: Callable[[list[str]], str]) -> None:
    sources = [str(path) for path in sorted(KERNELS.glob("*.c")) if path.stem not in OF_MODELS]
    others = {"test_native.py", "test_overlap_sanitized.py", Path(__file__).name}
    tests = [str(path) for path in sorted(Path(__file__).parent.glob("test_*.py")) if path.name not in others]
    done = run(CHILD, build(sources), *tests)
    assert "hostile bytes: clean" in done.stdout, done.stderr[-4000:]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
