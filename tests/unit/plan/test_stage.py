"""The stage on small artefacts written by hand, and on one that an interrupted attempt left."""

import json
from pathlib import Path

from orfevre.plan import stage
from orfevre.plan.bill import Bill
from orfevre.recipe import Mix, Recipe, Source


def artefacts(root: Path) -> dict[str, Path]:
    tokenize, mix = root / "tokenize", root / "mix"
    tokenize.mkdir()
    mix.mkdir()
    split = {"tokens": 5_000_000, "documents": 10, "bytes": 20_000_000}
    index = {"vocab_size": 4096, "dtype": "uint16", "bos": 0, "eos": 1, "pad": 2,
             "sources": {"books": {"train": split, "validation": split}}}  # fmt: skip
    mixture = {
        "weights": {"books": 1.0},
        "scales": {"check": {"parameters": 1000, "tokens": 1000, "runs": 2}},
        "price": {"compute_ratio": 1.3, "interval": [1.1, 1.6], "extrapolated": False, "text": "Seen."},
    }
    (tokenize / "index.json").write_text(json.dumps(index))
    (mix / "mixture.json").write_text(json.dumps(mixture))
    return {"tokenize": tokenize, "mix": mix}


def test_writes_the_bill_and_overwrites_half_of_one(tmp_path: Path):
    source = Source(name="books", paths=("x",), format="text", licence="CC0-1.0", language="en")
    recipe = Recipe(name="small", sources=(source,), mix=Mix(target={"books": 1.0}))
    inputs, out = artefacts(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "bill.json").write_text('{"farm": ')
    tally = stage.run(recipe, inputs, out)
    bill = Bill.model_validate_json((out / "bill.json").read_text())
    assert bill.runs[0].wrong_mix is not None
    assert tally.counts["runs"] == 1
    assert "The price of the wrong mix" in (out / "bill.md").read_text()
    assert sorted(path.name for path in out.iterdir()) == ["bill.json", "bill.md"]


def test_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, orfevre.plan.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
