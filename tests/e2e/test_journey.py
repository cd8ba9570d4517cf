"""The whole journey on real text: what each stage promises, and that a second run has nothing to do."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.e2e.small import Journey, orfevre

from orfevre import artifact, pipeline

STAGES = [stage.name for stage in pipeline.STAGES]


def load(path: Path) -> dict:  # type: ignore[type-arg]
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_stage_is_finished_and_whole(journey: Journey) -> None:
    for stage in STAGES:
        assert artifact.verify(journey.folder / stage) == []
        manifest = artifact.require(journey.folder / stage)
        assert manifest.stage == stage and manifest.wall_seconds > 0 and manifest.energy_kwh > 0
        assert (journey.folder / stage / "recipe.json").exists()
    for stage in ("mix", "train"):
        assert artifact.require(journey.folder / stage).flops > 0
    assert not [path for path in journey.folder.iterdir() if path.name.endswith((".partial", ".old"))]


def test_last_line_is_the_magnet_link(journey: Journey) -> None:
    report, magnet = journey.stdout.strip().splitlines()[-2:]
    assert report == f"report: {journey.folder / 'report.html'}"
    assert re.match(r"magnet:\?xt=urn:btih:[0-9a-f]{40}&xt=urn:btmh:1220[0-9a-f]{64}&dn=journey-model", magnet)


def test_run_says_why_in_one_line_each(journey: Journey) -> None:
    for stage in STAGES:
        assert len(re.findall(rf"^{stage}: .*\(not made yet\)$", journey.stderr, re.MULTILINE)) == 1


def test_second_run_has_nothing_to_do(journey: Journey) -> None:
    before = {path: path.stat().st_mtime_ns for path in journey.folder.rglob("*/*") if path.is_file()}
    done = orfevre("run", journey.recipe)
    assert done.returncode == 0 and done.stderr.count("fresh, skipped") == len(STAGES)
    after = {path: path.stat().st_mtime_ns for path in before if "plots" not in path.parts}
    assert all(before[path] == after[path] for path in after)


def test_every_document_is_kept_or_dropped_with_a_reason(journey: Journey) -> None:
    folder = journey.folder / "curate"
    seen: set[str] = set()
    for name, counted in load(folder / "stats.json")["sources"].items():
        kept, dropped = (pq.read_table(folder / part / f"{name}.parquet") for part in ("documents", "dropped"))
        assert counted["read"] == counted["kept"] + sum(counted["dropped"].values())
        assert (kept.num_rows, dropped.num_rows) == (counted["kept"], sum(counted["dropped"].values()))
        ids = [*kept["id"].to_pylist(), *dropped["id"].to_pylist()]
        assert len(set(ids)) == len(ids) and not seen & set(ids)
        seen |= set(ids)
        assert all(dropped["reason"].to_pylist())
        for text, digest in zip(kept["text"].to_pylist(), kept["sha256"].to_pylist(), strict=True):
            assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_no_group_straddles_the_split(journey: Journey) -> None:
    sides: dict[str, set[str]] = {}
    for path in (journey.folder / "curate" / "documents").glob("*.parquet"):
        table = pq.read_table(path, columns=["group", "split"])
        for group, split in zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True):
            sides.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in sides.values())


def test_shards_hold_every_kept_document(journey: Journey) -> None:
    index = load(journey.folder / "tokenize" / "index.json")
    stats = load(journey.folder / "curate" / "stats.json")["sources"]
    for name, splits in index["sources"].items():
        for split, counted in splits.items():
            assert (counted["documents"], counted["bytes"]) == (
                stats[name][split]["documents"],
                stats[name][split]["bytes"],
            )
            shard = journey.folder / "tokenize" / "shards" / name / split
            assert counted["tokens"] == np.fromfile(f"{shard}.bin", dtype=index["dtype"]).size


def test_mixture_is_feasible_and_told_honestly(journey: Journey) -> None:
    mixture = load(journey.folder / "mix" / "mixture.json")
    assert sum(mixture["weights"].values()) == pytest.approx(1, abs=1e-9)
    for name, weight in mixture["weights"].items():
        low, high = mixture["limits"][name]
        assert low - 1e-9 <= weight <= high + 1e-9
    gain = mixture["verdict"]["against"]["natural"]["gain"]
    measured = mixture["measured"]
    assert gain == pytest.approx(measured["natural"]["target"] - measured["chosen"]["target"], abs=1e-9)
    for mix in ("chosen", "natural", "uniform"):
        assert len(measured[mix]["runs"]) >= 2 and mixture["predicted"][mix]["target"] > 0


def test_model_learned_something(journey: Journey) -> None:
    scores = load(journey.folder / "evaluate" / "scores.json")
    for score in scores["sources"].values():
        low, high = score["interval"]
        assert low <= score["bits_per_byte"] <= high
        assert score["bits_per_byte"] < 6  # a model that knows nothing spends 9 bits on a token of one to two bytes
    for layers in scores["expert_load"].values():
        assert all(sum(layer) == pytest.approx(1) for layer in layers)


def test_release_loads_in_transformers_with_the_same_logits(journey: Journey) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from orfevre.data import tokenizer
    from orfevre.engine import checkpoint

    released = journey.folder / "release" / "journey-model"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(released).eval()
    ours = checkpoint.load_trained(journey.folder / "train").eval()
    text = "def read(path):\n    return open(path).read()  # été"
    coder = tokenizer.load(journey.folder / "tokenize" / "tokenizer.json")
    ids = [coder.bos, *coder.encode(text)]
    their_ids = transformers.AutoTokenizer.from_pretrained(released)(text)["input_ids"]
    assert their_ids in (ids, ids[1:])
    batch = torch.tensor([ids])
    with torch.no_grad():
        difference = (theirs(batch).logits - ours(batch)).abs().max()
    assert difference < 1e-4


def test_checksums_of_the_release_hold(journey: Journey) -> None:
    released = journey.folder / "release" / "journey-model"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=released, check=True)


def test_report_tells_the_whole_journey(journey: Journey) -> None:
    page = (journey.folder / "report.html").read_text(encoding="utf-8")
    assert all(stage in page for stage in STAGES)
    assert "magnet:?xt=urn:btih:" in page


def test_generate_is_repeatable(journey: Journey) -> None:
    for run in (journey.recipe, journey.folder):
        first, again = (orfevre("generate", run, "def ", "--tokens", "12", "--seed", "3") for _ in range(2))
        assert first.returncode == 0 and first.stdout == again.stdout and first.stdout.startswith("def ")
