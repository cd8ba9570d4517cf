"""Each benchmark runs at its smallest and prints what it promises. How fast either side is, no test says."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import __main__ as benchmarks
from benchmarks import paired


def test_a_loss_is_said_plainly() -> None:
    assert paired.ratio([2.0, 2.0, 1.0], [1.0, 1.0, 3.0]).lines("peer") == [
        "ratio of speeds, orfevre / peer: median 0.50 (min 0.50, max 3.00, 3 pairs)",
        "orfevre loses: peer is 2.00 times as fast here",
    ]
    assert len(paired.ratio([1.0, 1.0], [2.0, 2.0]).lines("peer")) == 1
    assert paired.ratio([1.0, 1.0, 2.0], [2.0, 2.0, 1.0]).lines("peer")[1:] == [
        "orfevre is the slower one in 1 of the 3 pairs"
    ]


def test_train_step_prints_a_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    from benchmarks import train_step

    assert train_step.run(small=True) == 0
    said = capsys.readouterr().out
    assert "ratio of speeds, orfevre / transformers float32 (grouped_mm): median" in said and "GFLOP/s" in said


def test_train_step_names_the_extra_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import train_step

    monkeypatch.setattr(train_step, "PEER", "transformers_that_is_not_installed")
    assert train_step.run(small=True) == 2
    assert "'.[dev]'" in capsys.readouterr().err


def test_decode_prints_a_ratio_and_what_it_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    from benchmarks import decode

    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    assert decode.run(small=True) == 0
    said = capsys.readouterr().out
    assert "ratio of speeds, orfevre / transformers: median" in said and "llama.cpp: skipped" in said
    assert all(f"orfevre       {precision}" in said for precision in ("bfloat16", "int8", "int4"))


def test_mixture_without_a_table_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["mixture"]) == 0
    assert "--data TABLE.csv" in capsys.readouterr().out


def test_mixture_compares_methods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(2), 70)
    with (tmp_path / "proxy_runs_70.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["weight.a", "weight.b", "loss.a"])
        rows.writerows([*pair, 3 - pair[0] ** 0.5] for pair in weights.tolist())
    monkeypatch.setattr("benchmarks.emulator.TARGETS", 2)
    assert benchmarks.main(["mixture", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "orfevre" in said and "linear" in said and "regret from 32 runs" in said
    assert "regret on the emulator from 24 by design and 2 batches of 4" in said


def test_curation_tokens_prints_ratios_and_whether_the_goal_is_met(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("gigatoken")
    from benchmarks import curation_tokens

    monkeypatch.setattr(curation_tokens.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "kitoken", None)
    assert curation_tokens.run(small=True) == 0
    said = capsys.readouterr().out
    assert "ratio of speeds, orfevre / tokenizers: median" in said and "goal of 100 MB" in said
    assert "gigatoken alone: the ids of" in said


def test_curation_loader_prints_nanoseconds(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import curation_loader

    assert curation_loader.run(small=True) == 0
    said = capsys.readouterr().out
    assert "ns a sample" in said and "ratio of speeds, orfevre / an index: median" in said


def test_curation_domains_prints_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import zstandard
    from benchmarks import curation_domains

    (tmp_path / "text").mkdir()
    for number, name in enumerate(curation_domains.SOURCES):
        rows = (
            json.dumps({"text": " ".join("abcdefghijklmno"[number + n * k % 9] * 3 for k in range(30))})
            for n in range(40)
        )
        (tmp_path / "text" / f"{name}.jsonl.zst").write_bytes(zstandard.compress("\n".join(rows).encode()))
    assert curation_domains.run(tmp_path, small=True) == 0
    said = capsys.readouterr().out
    assert "purity" in said and "NMI" in said and "MB per CPU second" in said and "part 6: " in said


def test_agreement_is_one_for_the_truth_under_other_names() -> None:
    from benchmarks.curation_domains import agreement

    truth = np.array([0, 0, 1, 1, 2, 2])
    assert agreement((truth + 1) % 3, truth) == (1.0, pytest.approx(1.0))
    purity, nmi = agreement(np.array([0, 1, 0, 1, 0, 1]), truth)
    assert purity == pytest.approx(1 / 3) and nmi == pytest.approx(0.0, abs=1e-12)
