"""What `--diff` says of the same model, of one in another order, of another, and of two runs."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.unit.inspect.conftest import TEXT, make_run, permuted, save

from orfevre import cli
from orfevre.data.tokenizer import Tokenizer, train
from orfevre.inspect import difference
from orfevre.model.transformer import Transformer


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return str(tmp_path / "text.txt")


def test_a_model_and_itself(model: Transformer, coder: Tokenizer, tmp_path: Path, text: str) -> None:
    folder = save(tmp_path / "a", model, coder)
    table = difference.compare(folder, folder, text)
    assert table["same"] and table["config"] == [] and table["tokenizer"]["same"]
    assert {row["relative"] for row in table["tensors"]} == {0.0}
    assert table["text"]["bits"][0] == table["text"]["bits"][1]
    for row in table["text"]["layers"]:
        assert (row["same_first"], row["overlap"], row["load_distance"]) == (1.0, 1.0, 0.0)


def test_a_permuted_copy_is_the_same_model_and_routes_alike(
    model: Transformer, coder: Tokenizer, tmp_path: Path, text: str
) -> None:
    orders = [[2, 0, 3, 1], [0, 1, 2, 3], [1, 0, 3, 2]]
    a, b = save(tmp_path / "a", model, coder), save(tmp_path / "b", permuted(model, orders), coder)
    table = difference.compare(a, b, text)
    assert table["same"]
    assert [layer["permuted"] for layer in table["layers"]] == [True, False, True]
    for row in table["text"]["layers"]:
        assert (row["same_first"], row["overlap"]) == (1.0, 1.0)
        assert row["load_distance"] == 0.0
    assert table["text"]["bits"][0] == pytest.approx(table["text"]["bits"][1], rel=1e-6)


def test_a_changed_router_shows_where_it_is(model: Transformer, coder: Tokenizer, tmp_path: Path, text: str) -> None:
    a = save(tmp_path / "a", model, coder)
    with torch.no_grad():
        model.blocks[2].moe.gate.weight.neg_()
    table = difference.compare(a, save(tmp_path / "b", model, coder), text)
    assert not table["same"]
    changed = {row["name"]: row["relative"] for row in table["tensors"] if row["relative"] != 0.0}
    assert changed == {"blocks.2.moe.gate.weight": pytest.approx(2.0)}
    first, second, third = table["text"]["layers"]
    assert first["overlap"] == second["overlap"] == 1.0  # what lies before sees nothing of it
    assert third["same_first"] == 0.0  # the likeliest of all is now the least likely
    assert third["load_distance"] > 0


def test_tokenizers_that_differ(model: Transformer, coder: Tokenizer, tmp_path: Path, text: str) -> None:
    a, b = save(tmp_path / "a", model, coder), save(tmp_path / "b", model, coder)
    other = train([["nothing alike " * 30]], 265)
    other.save(b / "tokenizer.json")
    found = difference.compare(a, b, text)
    assert found["tokenizer"]["same"] is False
    assert found["tokenizer"]["size"] == [coder.vocab_size, other.vocab_size]
    assert len(found["tokenizer"]["added"]) - len(found["tokenizer"]["removed"]) == other.vocab_size - coder.vocab_size
    assert found["text"]["layers"] == [] and "cut the text differently" in found["text"]["note"]
    (b / "tokenizer.json").unlink()
    assert difference.compare(a, b, None)["tokenizer"]["same"] is None


def test_configurations_that_differ_and_what_only_training_heeds(
    model: Transformer, coder: Tokenizer, tmp_path: Path
) -> None:
    a = save(tmp_path / "a", model, coder)
    model.config = model.config.model_copy(update={"z_loss_weight": 0.5})
    table = difference.compare(a, save(tmp_path / "b", model, coder), None)
    assert table["config"] == [{"key": "z_loss_weight", "a": 0.001, "b": 0.5, "training_only": True}]
    assert table["same"]
    model.config = model.config.model_copy(update={"sliding_window": 8})
    assert not difference.compare(a, save(tmp_path / "c", model, coder), None)["same"]


def test_two_runs_tell_their_histories(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = difference.compare(run, run, None)
    assert table["runs"]["recipe"] == [] and table["runs"]["ledger"]["a"] == table["runs"]["ledger"]["b"]
    assert all(row["same"] for row in table["runs"]["data"])
    assert all(row["same_text"] for row in table["runs"]["scores"])
    other = tmp_path / run.name
    shutil.copytree(make_run(tmp_path / "other", seed=6), other)
    edit(other / "mix" / "mixture.json", lambda made: made["weights"].update(code=0.9))
    edit(other / "train" / "recipe.json", lambda made: made["train"].update(tokens=123_456))
    edit(other / "tokenize" / "manifest.json", lambda made: made["outputs"]["shards/web/train.bin"].update(sha256="0"))
    found = difference.compare(run, other, None)["runs"]
    assert [row["key"] for row in found["recipe"]] == ["train.tokens"]
    assert {row["source"]: row["b"] for row in found["mixture"]}["code"] == 0.9
    assert [row["source"] for row in found["data"] if not row["same"]] == ["web"]
    assert cli.main(["inspect", "--diff", str(run), str(other), "--json", str(tmp_path / "d.json")]) == 0
    out = capsys.readouterr().out
    assert "train.tokens" in out and "Chosen mixture" in out and "the tokens differ" in out
    assert json.loads((tmp_path / "d.json").read_text())["runs"] == found


def edit(path: Path, change: object) -> None:
    made = json.loads(path.read_text(encoding="utf-8"))
    change(made)  # type: ignore[operator]
    path.write_text(json.dumps(made), encoding="utf-8")


def test_weights_that_are_not_finite_end_with_code_2(
    model: Transformer, coder: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = save(tmp_path / "a", model, coder)
    with torch.no_grad():
        model.blocks[1].moe.w2[0, 0, 0] = float("nan")
    b = save(tmp_path / "b", model, coder)
    assert cli.main(["inspect", "--diff", str(a), str(b)]) == 2
    told = capsys.readouterr()
    assert "blocks.1.moe.w2" in told.err and "diverged" in told.err
    assert "not finite" in told.out
