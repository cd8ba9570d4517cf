"""The JSON keeps its form, the figures agree with each other, and bad input ends with code 2 and a remedy."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.inspect.conftest import TEXT, save

from orfevre import cli
from orfevre.data import shards
from orfevre.data.tokenizer import Tokenizer
from orfevre.inspect import look
from orfevre.model.transformer import Transformer, initialise


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return str(tmp_path / "text.txt")


def form(value: Any) -> Any:
    """The shape of a JSON value: keys, and what a list is made of."""
    if isinstance(value, dict):
        return {key: form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


NUMBERS = [["number"]]
LOAD = dict.fromkeys(
    ("layer", "load_entropy", "load_entropy_share", "token_entropy", "token_entropy_share", "router_z"), "number"
) | {"counts": ["number"]}
TENSOR = {
    "name": "str", "part": "str", "layer": "NoneType", "shape": ["number"], "dtype": "str", "bytes": "number",
    "parameters": "number", "norm": "number", "rms": "number", "largest": "number", "zero_rows": "number",
    "not_finite": "number", "experts": [],
}  # fmt: skip
PART = {"part": "str", "parameters": "number", "bytes": "number", "share": "number", "rms": "number"}


def test_the_json_keeps_its_form(run: Path, text: str) -> None:
    found = form(look.look(run, text))
    config = found.pop("config")
    assert config["vocab_size"] == config["hidden_size"] == "number"
    parts = dict.fromkeys(("layer", "norms", "attention", "experts", "router"), "number")
    assert found == {
        "format": "number",
        "model": {"path": "str", "name": "str", "kind": "str", "window": "number"},
        "words": ["str"],
        "findings": [],
        "parameters": {"total": "number", "active": "number", "bytes": "number", "parts": [PART], "layers": [parts],
                       "tensors": [TENSOR]},
        "text": {
            "source": "str", "bytes": "number", "tokens_read": "number", "window": "number", "windows": "number",
            "bits": "number", "bits_per_byte": "number", "layers": [LOAD],
            "tokens": [{"id": "number", "text": "str", "shown": "str", "bits": "NoneType", "experts": NUMBERS,
                        "weights": NUMBERS}],
        },
        "domains": {
            "names": ["str"],
            "sources": {name: {"documents": "number", "tokens": "number", "counts": NUMBERS}
                        for name in ("code", "docs", "prose", "web")},
            "layers": [LOAD | dict.fromkeys(("mutual_information", "chance", "chance_95", "share"), "number")
                       | {"distances": NUMBERS}],
            "tokens": [[[{"id": "number", "count": "number", "of": "number", "lift": "number", "token": "str",
                          "shown": "str"}]]],
        },
    }  # fmt: skip
    assert look.FORMAT == 1  # a form that changes needs another number


def test_figures_of_a_text_agree_with_each_other(model: Transformer, coder: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(TEXT * 9, encoding="utf-8")
    table = look.look(save(tmp_path / "m", model, coder), str(tmp_path / "long.txt"))
    found = table["text"]
    assert found["bytes"] == len((TEXT * 9).encode())
    assert found["windows"] == math.ceil(found["tokens_read"] / 32) > 1
    assert "".join(token["text"] for token in found["tokens"]) == TEXT * 9
    assert sum(token["bits"] or 0 for token in found["tokens"]) == pytest.approx(found["bits"])
    assert found["bits_per_byte"] == pytest.approx(found["bits"] / found["bytes"])
    for layer, row in enumerate(found["layers"]):
        sent = [expert for token in found["tokens"] for expert in token["experts"][layer]]
        assert [sent.count(expert) for expert in range(4)] == row["counts"]
        assert sum(row["counts"]) == 2 * found["tokens_read"]


def test_domains_conserve_tokens_and_top_tokens_their_counts(run: Path) -> None:
    found = look.look(run, None)["domains"]
    index = shards.read_index(run / "tokenize")
    assert found["names"] == list(index.sources)
    config = json.loads((run / "train" / "config.json").read_text())
    for name, source in found["sources"].items():
        assert source["documents"] == index.sources[name].validation.documents
        assert {sum(layer) for layer in source["counts"]} == {source["tokens"] * config["experts_per_token"]}
    for layer, row in enumerate(found["layers"]):
        by_source = [source["counts"][layer] for source in found["sources"].values()]
        assert row["counts"] == [sum(counts) for counts in zip(*by_source, strict=True)]
        for expert, tokens in enumerate(found["tokens"][layer]):
            assert sum(token["count"] for token in tokens) <= row["counts"][expert]
            assert all(5 <= token["count"] <= token["of"] and token["lift"] > 1 for token in tokens)


def test_known_routing_gives_known_favourites(run: Path, by_parity: Transformer) -> None:
    from orfevre.inspect.domains import top_tokens
    from orfevre.inspect.trace import trace

    class Words:
        def word(self, token: int) -> str:
            return str(token)

    layers = top_tokens([trace(by_parity, [10] * 20 + [11] * 6 + [13] * 4, 32)], 4, Words())  # type: ignore[arg-type]
    for tokens in layers:
        assert [[(row["token"], row["count"], row["of"]) for row in expert] for expert in tokens] == [
            [("10", 20, 20)], [("10", 20, 20)], [("11", 6, 6)], [("11", 6, 6)],
        ]  # 13 came too seldom to say  # fmt: skip
        assert tokens[0][0]["lift"] == pytest.approx(30 / 20) and tokens[2][0]["lift"] == pytest.approx(30 / 10)


def test_the_verb_prints_everything_and_writes_json_and_html(
    run: Path, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("x.json", "x.html")]
    assert cli.main(["inspect", str(run), "--text", text, "--json", files[0], "--html", files[1]]) == 0
    out = capsys.readouterr().out
    for wanted in ("Parameters", "met by a token", "layer 0", "What a token's expert tells", "é", "œ"):
        assert wanted in out
    assert json.loads(Path(files[0]).read_text(encoding="utf-8"))["text"]["source"] == text
    assert "</html>" in Path(files[1]).read_text(encoding="utf-8")


def test_a_text_on_stdin(model: Transformer, coder: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    table = look.look(save(tmp_path / "m", model, coder), "-")
    assert table["text"]["source"] == "-" and table["text"]["bytes"] == len(TEXT.encode())


def test_a_dense_model_has_parameters_and_costs_but_no_choice(
    model: Transformer, coder: Tokenizer, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = Transformer(model.config.model_copy(update={"num_experts": 1, "experts_per_token": 1}), coder.vocab_size)
    initialise(dense, torch.Generator().manual_seed(1))
    table = look.look(save(tmp_path / "m", dense, coder), text)
    look.tell(table)
    assert {row["load_entropy"] for row in table["text"]["layers"]} == {0.0}
    assert "no choice to show" in capsys.readouterr().out


def test_weights_that_are_not_finite_are_shown_and_end_with_code_2(
    model: Transformer, coder: Tokenizer, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.no_grad():
        model.blocks[1].moe.gate.weight[2, 3] = float("inf")
    folder = save(tmp_path / "m", model, coder)
    assert cli.main(["inspect", str(folder), "--text", text, "--json", str(tmp_path / "x.json")]) == 2
    told = capsys.readouterr()
    assert "Parameters" in told.out
    assert "blocks.1.moe.gate.weight" in told.err and "another checkpoint" in told.err
    assert json.loads((tmp_path / "x.json").read_text())["findings"][0]["kind"] == "not_finite"


def bad_input(folder: Path) -> dict[str, tuple[list[str], str]]:
    model = str(folder / "m")
    (folder / "latin.txt").write_bytes("été".encode("latin-1"))
    (folder / "empty.txt").write_bytes(b"")
    return {
        "nothing": ([], "give RUN, or --diff A B"),
        "both": ([model, "--diff", model, model], "give RUN, or --diff A B"),
        "no model": ([str(folder)], "no model here"),
        "no folder": ([str(folder / "nowhere")], "no such folder"),
        "no text": ([model, "--text", str(folder / "none.txt")], "cannot be read"),
        "not UTF-8": ([model, "--text", str(folder / "latin.txt")], "not UTF-8 (byte 0)"),
        "empty": ([model, "--text", str(folder / "empty.txt")], "empty"),
        "no place for JSON": ([model, "--json", str(folder / "no" / "x.json")], "cannot be written"),
        "no place for HTML": ([model, "--html", str(folder / "no" / "x.html")], "cannot be written"),
        "no recipe": ([str(folder / "none.toml")], "no such recipe"),
    }


CASES = (
    "nothing", "both", "no model", "no folder", "no text", "not UTF-8", "empty", "no place for JSON",
    "no place for HTML", "no recipe",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_with_the_remedy(
    case: str, model: Transformer, coder: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "m", model, coder)
    arguments, words = bad_input(tmp_path)[case]
    assert cli.main(["inspect", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_model_without_its_tokenizer_cannot_read_a_text(
    model: Transformer, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(save(tmp_path / "m", model, None))
    assert cli.main(["inspect", folder]) == 0
    assert cli.main(["inspect", folder, "--text", text]) == 2
    assert "no tokenizer" in capsys.readouterr().err


def test_a_tokenizer_of_another_model_is_found_out(
    model: Transformer, coder: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Transformer(model.config, 40)
    initialise(small, torch.Generator().manual_seed(1))
    folder = save(tmp_path / "m", small, coder)
    (tmp_path / "t.txt").write_text("é", encoding="utf-8")
    assert cli.main(["inspect", str(folder), "--text", str(tmp_path / "t.txt")]) == 2
    assert "outside the vocabulary of 40" in capsys.readouterr().err
