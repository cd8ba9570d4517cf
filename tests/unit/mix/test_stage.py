"""The whole stage on a known law: the contract's keys, the ledger's sums, and resuming after kill -9."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import law
import pytest

from orfevre import metrics
from orfevre.errors import InputError, RecipeError
from orfevre.mix import stage

KEYS = {
    "sources", "target", "confidence", "unit", "scales", "weights", "intervals", "limits", "binding", "natural",
    "uniform", "baselines", "arms", "epochs", "unconstrained", "predicted", "measured", "verdict", "surrogate",
    "slices", "ternary", "price", "swaps", "shadow_prices", "groups", "learning", "batches", "pareto", "ladder",
}  # fmt: skip


def run(folder, recipe=None, train=law.train):
    tokenize = law.tokenize_folder(folder / "tokenize")
    out = folder / "out"
    out.mkdir(exist_ok=True)
    tally = stage.run_with(recipe or law.make_recipe(), {"tokenize": tokenize}, out, train)
    return tally, json.loads((out / "mixture.json").read_text()), out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_writes_the_contract(whole):
    _, table, out = whole
    assert set(table) == KEYS
    assert sorted(path.name for path in out.iterdir()) == [
        "checks.jsonl",
        "design.json",
        "mixture.json",
        "proxies.jsonl",
    ]
    for key in ("weights", "natural", "uniform", "unconstrained", "target"):
        assert sum(table[key].values()) == pytest.approx(1, abs=1e-9)
    for name, weight in table["weights"].items():
        low, high = table["limits"][name]
        assert low - 1e-9 <= weight <= high + 1e-9
        assert table["intervals"][name][0] <= weight <= table["intervals"][name][1]
        assert table["epochs"][name] == pytest.approx(weight * 1_000_000 / law.TOKENS[name])
    assert [row["run"] for row in table["surrogate"]["cross_validation"]] == [f"p{n:03d}" for n in range(24)]
    assert len(table["price"]["budgets"]) == 3


def test_finds_the_laws_optimum_and_says_so(whole):
    _, table, _ = whole
    assert table["verdict"]["wins"]
    assert table["surrogate"]["spearman"] > 0.97
    predicted, measured = table["predicted"]["chosen"], table["measured"]["chosen"]
    assert predicted["interval"][0] <= measured["target"] <= predicted["interval"][1]
    assert table["price"]["compute_ratio"] > 2
    assert table["price"]["extrapolated"]


def test_the_tally_is_the_sum_of_the_runs(whole):
    tally, _, out = whole
    rows = metrics.read(out / "proxies.jsonl") + metrics.read(out / "checks.jsonl")
    assert tally.counts == {"proxies": 28, "ladder": 0, "checks": 15, "tokens": sum(row["tokens"] for row in rows)}
    assert tally.flops == pytest.approx(sum(row["flops"] for row in rows))
    assert "wins" in tally.notes["verdict"]


def test_design_lists_every_proxy_and_only_repeats_change_seed(whole):
    _, _, out = whole
    runs = json.loads((out / "design.json").read_text())["runs"]
    assert [run["kind"] for run in runs] == ["proxy"] * 24 + ["repeat"] * 4
    assert len({run["seed"] for run in runs if run["kind"] == "proxy"}) == 1
    again = [run for run in runs if run["kind"] == "repeat"]
    assert [run["weights"] for run in again] == [runs[0]["weights"], runs[1]["weights"]] * 2  # natural, uniform
    assert len({run["seed"] for run in again} - {runs[0]["seed"]}) == 2


def test_resume_equals_uninterrupted_and_trains_only_what_is_missing(whole, tmp_path):
    _, table, out = whole
    lines = (out / "proxies.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/proxies.jsonl").write_bytes(b"".join(reversed(lines[3:20])) + lines[20][:40])  # torn
    trained = []

    def counting(task):
        trained.append(task.run.run)
        return law.train(task)

    _, again, resumed = run(tmp_path, train=counting)
    assert again == table
    assert len(trained) == (28 - 17) + 15
    assert (resumed / "design.json").read_bytes() == (out / "design.json").read_bytes()


def test_a_finished_check_is_not_trained_again(whole, tmp_path):
    _, table, out = whole
    shutil.copytree(out, tmp_path / "out")

    def refuse(task):
        raise AssertionError(f"{task.run.run} was trained again")

    assert run(tmp_path, train=refuse)[1] == table


def test_a_kill_loses_only_runs_in_flight(tmp_path):
    """A process is killed while it trains; the next attempt keeps every line it had written."""
    script = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[1]); import law; from orfevre.mix import stage\n"
        "def slow(task):\n    time.sleep(0.05); return law.train(task)\n"
        "root = pathlib.Path(sys.argv[2])\n"
        "stage.run_with(law.make_recipe(), {'tokenize': root / 'tokenize'}, root / 'out', slow)\n"
    )
    law.tokenize_folder(tmp_path / "tokenize")
    log = tmp_path / "out/proxies.jsonl"
    log.parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)])
    give_up = time.monotonic() + 60
    while len(metrics.read(log)) < 4 and time.monotonic() < give_up:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = metrics.read(log)
    assert 4 <= len(kept) < 28
    trained = []

    def counting(task):
        trained.append(task.run.run)
        return law.train(task)

    run(tmp_path, train=counting)
    assert not set(trained) & {row["run"] for row in kept}
    assert len(metrics.read(log)) == 28


def test_a_useless_choice_is_called_that(tmp_path):
    """Losses that no mixture moves: the verdict must not claim a win, and there is no price."""

    def flat(task):
        row = law.train(task)
        level = 2.0 * task.run.budget**-0.1
        jitter = {name: 0.01 * (hash_of(task.run.run, name) - 0.5) for name in law.SOURCES}
        return row | {"losses": {name: level + jitter[name] for name in law.SOURCES}}

    def hash_of(*words):
        return int.from_bytes(law.hashlib.sha256("/".join(words).encode()).digest()[:4], "little") / 2**32

    _, table, _ = run(tmp_path, train=flat)
    assert not table["verdict"]["wins"]
    assert "does not win" in table["verdict"]["text"]


def test_empty_limits_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="less than 1"):
        run(tmp_path, law.make_recipe(50_000_000))


def test_a_target_without_held_out_text_is_refused(tmp_path):
    tokenize = law.tokenize_folder(tmp_path / "tokenize", held_out=0)
    with pytest.raises(InputError, match=r"mix\.target\.code = 0\.7"):
        stage.run_with(law.make_recipe(), {"tokenize": tokenize}, tmp_path, law.train)


def test_a_source_without_text_gets_no_weight(tmp_path):
    law.tokenize_folder(tmp_path / "tokenize")
    tokens = law.TOKENS | {"web": 0}
    tokenize = law.tokenize_folder(tmp_path / "tokenize", tokens)
    (tmp_path / "out").mkdir()
    stage.run_with(law.make_recipe(), {"tokenize": tokenize}, tmp_path / "out", law.train)
    table = json.loads((tmp_path / "out/mixture.json").read_text())
    assert table["weights"]["web"] == table["uniform"]["web"] == table["unconstrained"]["web"] == 0
    assert table["uniform"]["books"] == pytest.approx(1 / 3)


def test_a_group_is_kept_and_told(tmp_path):
    groups = [{"name": "apart", "sources": ["code", "docs"], "max_weight": 0.5}]
    _, table, _ = run(tmp_path, law.make_recipe(groups=groups))
    told = table["groups"]["apart"]
    assert told["sources"] == ["code", "docs"]
    assert told["weight"] == pytest.approx(table["weights"]["code"] + table["weights"]["docs"])
    assert told["weight"] <= 0.5 + 1e-9
    assert "apart" in table["binding"]  # the target is code and docs: it would take more of them
    assert next(one for one in table["shadow_prices"] if one["source"] == "apart")["gain"] > 0


LARGER = {"tokens": 200_000}
SHAPE = {"hidden_size": 96, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 192, "num_experts": 4}
WHOLE = {
    "batches": {"most": 2, "runs": 3, "epsilon": 1e-6},
    "ladder": [{"model": SHAPE, "training": LARGER, "runs": 5}],
    "check": {"seeds": 2, "model": SHAPE, "training": LARGER},
    "baselines": {"handmade": {"code": 0.5, "docs": 0.2, "web": 0.3}},
    "pareto": ["code", "books"],
    "max_losses": {"books": 2.5},
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Batches, a ladder, a check of its own size, a mixture by hand, a ceiling and a front, all at once."""
    return run(tmp_path_factory.mktemp("deep"), law.make_recipe(**WHOLE), law.train_at_size)


def test_everything_asked_for_is_in_the_table(deep):
    tally, table, out = deep
    assert table["arms"] == ["chosen", "natural", "uniform", "handmade"]
    assert set(table["predicted"]) == set(table["measured"]) == set(table["arms"])
    assert set(table["verdict"]["against"]) == {"natural", "uniform", "handmade"}
    assert table["baselines"]["handmade"]["books"] == 0
    assert table["predicted"]["chosen"]["losses"]["books"] <= 2.5 + 1e-4
    rows = metrics.read(out / "proxies.jsonl")
    assert [row["kind"] for row in rows].count("batch") == 6
    assert tally.counts["proxies"] == len(rows) == 34
    assert tally.counts["ladder"] == len(metrics.read(out / "ladder.jsonl")) == 5
    assert [batch["runs"] for batch in table["batches"]] == [28, 31, 34]
    assert "2 batches" in table["batches"][-1]["stop"]
    front = [(point["losses"]["code"], point["losses"]["books"]) for point in table["pareto"]["front"]]
    assert front == sorted(front)
    assert [b for _, b in front] == sorted((b for _, b in front), reverse=True)


def test_every_number_has_its_scale_and_the_ladder_finds_what_size_does(deep):
    _, table, _ = deep
    scales = table["scales"]
    assert scales["predicted"] == 0
    assert scales["ladder"][0]["parameters"] == scales["check"]["parameters"] > scales["proxies"]["parameters"]
    assert scales["check"]["tokens"] > scales["proxies"]["tokens"]
    rung = table["ladder"]["rungs"][0]
    low, high = rung["intervals"]["code"]
    assert low <= law.SLOPE <= high
    predicted, measured = table["predicted"]["chosen"], table["measured"]["chosen"]
    assert predicted["interval"][0] <= measured["target"] <= predicted["interval"][1]
    assert all(0 <= risk <= 1 for risk in table["ladder"]["rank_risk"]["rivals"].values())
    assert table["ladder"]["rank_risk"]["rivals"]["natural"] < 0.05


def test_a_resumed_experiment_runs_what_was_decided(deep, tmp_path):
    """A kill in the second batch: what design.json decided is run, and nothing is trained twice."""
    _, table, out = deep
    (tmp_path / "out").mkdir()
    shutil.copy(out / "design.json", tmp_path / "out/design.json")
    lines = (out / "proxies.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out/proxies.jsonl").write_bytes(b"".join(lines[:32]))
    trained = []

    def counting(task):
        trained.append(task.run.run)
        return law.train_at_size(task)

    _, again, _ = run(tmp_path, law.make_recipe(**WHOLE), counting)
    assert again == table
    assert len(trained) == 2 + 5 + (4 + 2) * 2


def test_a_ceiling_that_no_mixture_keeps_is_refused_with_the_least_there_is(tmp_path):
    with pytest.raises(RecipeError, match=r"mix\.max_losses\.code = 0\.5; the mixture that comes nearest"):
        run(tmp_path, law.make_recipe(max_losses={"code": 0.5}))


def test_recipes_that_make_no_sense_are_refused():
    for mix, words in (
        ({"baselines": {"natural": {"code": 1.0}}}, "rename it"),
        ({"baselines": {"mine": {"code": 0.5}}}, "sum to 0.5"),
        ({"baselines": {"mine": {"cod": 1.0}}}, "mix.baselines.mine.cod is not a source"),
        ({"max_losses": {"cod": 1.0}}, "cod has no loss"),
        ({"pareto": ["code"]}, "two different sources"),
        ({"pareto": ["code", "code"]}, "two different sources"),
        ({"check": {"seeds": 1}}, "mix.check.seeds"),
        ({"check": {"training": {"tokens": 999_999, "sequence_length": 8192}}}, "mix.check.training.sequence_length"),
        ({"ladder": [{"model": SHAPE, "training": {"tokens": 999_999, "sequence_length": 8192}}]}, r"mix.ladder\[0\]"),
    ):
        with pytest.raises(RecipeError, match=words):
            law.make_recipe(**mix)
