import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from orfevre import recipe
from orfevre.data import shards, tokenizer
from orfevre.engine import build, score
from orfevre.errors import InputError, RecipeError
from orfevre.evaluate import scoring, stage
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(
    hidden_size=16, num_layers=2, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=4, context_length=16
)
TEXT = "the model reads the text and learns what comes next; été, 文字, (x) = [12345] "


def texts(name: str, count: int) -> list[str]:
    generator = np.random.default_rng(len(name))
    return [TEXT[generator.integers(20) :] * int(generator.integers(1, 4)) for _ in range(count)]


def write_tokens(folder: Path, held_out: dict[str, int]) -> Path:
    """A tokenize folder whose sources hold this many validation documents."""
    folder.mkdir()
    made = tokenizer.train([[TEXT] * 50], 320)
    made.save(folder / "tokenizer.json")
    sources = {}
    for name, count in held_out.items():
        with shards.ShardWriter(folder / "shards" / name, "train", "uint16") as train:
            train.add("0" * 16, [made.bos, made.eos], 1)
        with shards.ShardWriter(folder / "shards" / name, "validation", "uint16") as held:
            for number, text in enumerate(texts(name, count)):
                held.add(f"{number:016x}", [made.bos, *made.encode(text), made.eos], len(text.encode()))
        sources[name] = shards.SourceIndex(train=train.sizes, validation=held.sizes)
    sizes = {"vocab_size": made.vocab_size, "bos": made.bos, "eos": made.eos, "pad": made.pad}
    shards.write_index(folder, shards.Index(**sizes, dtype="uint16", sources=sources))
    return folder


def write_model(folder: Path, vocab_size: int, *, uniform: bool = False, shape: recipe.Model = SHAPE) -> Path:
    """A train folder with an untrained model; a uniform one gives every token the same probability."""
    model = build.build(shape, vocab_size, seed=3)
    if uniform:
        torch.nn.init.zeros_(model.output.weight)
    (folder / "checkpoints/step-1").mkdir(parents=True)
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    save_file(tensors, folder / "checkpoints/step-1/model.safetensors")
    (folder / "config.json").write_text(model.config.model_dump_json())
    (folder / "summary.json").write_text(json.dumps({"checkpoint": "checkpoints/step-1"}))
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    tokenized = write_tokens(tmp_path / "tokenize", {"prose": 6, "code": 14})
    vocab_size = shards.read_index(tokenized).vocab_size
    return {"tokenize": tokenized, "train": write_model(tmp_path / "train", vocab_size)}


@pytest.fixture
def tiny(table: dict[str, Any]) -> recipe.Recipe:
    evaluate = {"documents_per_source": 9, "bootstrap_samples": 200, "prompts": ["the ", "été"], "sample_tokens": 5}
    return recipe.from_table(table | {"evaluate": evaluate, "train": {"sequence_length": 16}}, "tiny.toml")


def make(tiny: recipe.Recipe, inputs: dict[str, Path], out: Path, **changes: Any) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    evaluate = tiny.evaluate.model_copy(update=changes)
    stage.run(tiny.model_copy(update={"evaluate": evaluate}), inputs, out)
    assert [path.name for path in out.iterdir()] == ["scores.json"]
    return json.loads((out / "scores.json").read_text())


def test_scores_are_of_the_contracts_form(tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path) -> None:
    scores = make(tiny, inputs, tmp_path / "out")
    assert scores.keys() == {"confidence", "sources", "target", "expert_load", "specialisation", "samples"}
    assert scores["confidence"] == 0.95
    assert list(scores["sources"]) == list(scores["expert_load"]) == ["prose", "code"]
    for scored in [*scores["sources"].values(), scores["target"]]:
        low, high = scored["interval"]
        assert low <= scored["bits_per_byte"] <= high
    assert [sample.keys() for sample in scores["samples"]] == [{"prompt", "text"}] * 2
    assert [sample["prompt"] for sample in scores["samples"]] == ["the ", "été"]


def test_documents_bytes_and_tokens_are_conserved(tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path) -> None:
    scores = make(tiny, inputs, tmp_path / "out")
    for name, documents in (("prose", 6), ("code", 9)):
        shard = shards.open_shard(inputs["tokenize"], name, "validation")
        chosen = scoring.choose(shard, 9)
        scored = scores["sources"][name]
        assert scored["documents"] == len(chosen) == documents
        assert scored["bytes"] == shard.num_bytes[chosen].sum()
        assert scored["tokens"] == sum(shard.documents[chosen + 1] - shard.documents[chosen] - 1)
        assert scored["tokens"] == scoring.num_predicted(shard, chosen)


def test_a_uniform_model_needs_log2_of_the_vocabulary_for_each_token(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path
) -> None:
    vocab_size = shards.read_index(inputs["tokenize"]).vocab_size
    inputs |= {"train": write_model(tmp_path / "uniform", vocab_size, uniform=True)}
    scores = make(tiny, inputs, tmp_path / "out")
    for scored in scores["sources"].values():
        expected = math.log2(vocab_size) * scored["tokens"] / scored["bytes"]
        assert scored["bits_per_byte"] == pytest.approx(expected, rel=1e-5)


def test_the_target_is_the_weighted_mean_and_narrower_than_its_parts_would_be_together(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path
) -> None:
    scores = make(tiny, inputs, tmp_path / "out")
    prose, code = (scores["sources"][name] for name in ("prose", "code"))
    target = scores["target"]
    assert target["bits_per_byte"] == pytest.approx(0.7 * prose["bits_per_byte"] + 0.3 * code["bits_per_byte"])
    widths = [scored["interval"][1] - scored["interval"][0] for scored in (prose, code, target)]
    assert widths[2] < 0.7 * widths[0] + 0.3 * widths[1]  # independent errors add as squares


@pytest.mark.parametrize("num_experts", [1, 4])
def test_expert_load_sums_to_one_in_every_layer(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path, num_experts: int
) -> None:
    shape = SHAPE.model_copy(update={"num_experts": num_experts, "experts_per_token": min(2, num_experts)})
    vocab_size = shards.read_index(inputs["tokenize"]).vocab_size
    inputs |= {"train": write_model(tmp_path / "other", vocab_size, shape=shape)}
    for layers in make(tiny, inputs, tmp_path / "out")["expert_load"].values():
        assert len(layers) == shape.num_layers
        for layer in layers:
            assert len(layer) == num_experts
            assert sum(layer) == pytest.approx(1)


def test_the_same_call_gives_the_same_bytes(tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(tiny, inputs, tmp_path / name)
    assert (tmp_path / "one/scores.json").read_bytes() == (tmp_path / "two/scores.json").read_bytes()


def test_a_resumed_evaluation_is_the_uninterrupted_one_and_scores_no_source_twice(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(tiny, inputs, tmp_path / "whole")
    real, asked = score.score_shard, []

    def killed_at_the_second(model: Transformer, shard: shards.Shard, **options: Any) -> score.DocumentLosses:
        asked.append(shard.source)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(model, shard, **options)

    monkeypatch.setattr(score, "score_shard", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make(tiny, inputs, tmp_path / "out")
    (tmp_path / "out/.scores/.code.json.aside").write_text('{"nats": [1')
    assert make(tiny, inputs, tmp_path / "out") == whole
    assert asked == ["prose", "code", "code"]


def test_documents_are_chosen_by_their_ids_alone(inputs: dict[str, Path]) -> None:
    shard = shards.open_shard(inputs["tokenize"], "code", "validation")
    few, more, every = (scoring.choose(shard, number).tolist() for number in (3, 8, 10_000))
    assert set(few) < set(more) < set(every)
    assert every == list(range(14))
    assert more == sorted(more)
    assert more != list(range(8))  # not simply the first


def test_samples_go_on_from_the_prompt(tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path) -> None:
    likeliest = [make(tiny, inputs, tmp_path / f"{n}", temperature=0.0)["samples"] for n in range(2)]
    assert likeliest[0] == likeliest[1]
    made = tokenizer.load(inputs["tokenize"] / "tokenizer.json")
    assert all(len(made.encode(sample["text"])) <= 3 * 5 for sample in likeliest[0])
    assert make(tiny, inputs, tmp_path / "none", prompts=())["samples"] == []


def test_a_target_without_held_out_text_is_refused(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path
) -> None:
    inputs |= {"tokenize": write_tokens(tmp_path / "other", {"prose": 3, "code": 0})}
    with pytest.raises(InputError, match=r"code has no held-out document, but mix\.target\.code = 0\.3"):
        make(tiny, inputs, tmp_path / "out")


def test_a_source_without_held_out_text_or_with_little_is_said(
    table: dict[str, Any], inputs: dict[str, Path], tmp_path: Path
) -> None:
    inputs |= {"tokenize": write_tokens(tmp_path / "other", {"prose": 3, "code": 0})}
    (tmp_path / "out").mkdir()
    asked = table | {"mix": {"target": {"prose": 1.0}}, "train": {"sequence_length": 16}}
    tally = stage.run(recipe.from_table(asked, "t"), inputs, tmp_path / "out")
    assert tally.notes == {
        "few prose": "source prose has 3 held-out documents; its interval says little",
        "empty code": "source code has no held-out document and is not scored",
    }
    assert tally.counts["documents"] == 3
    assert tally.flops > 0


def test_a_prompt_that_does_not_fit_is_refused_before_the_long_work(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"evaluate\.prompts\[1\] = 'the the.*context_length is 16; shorten it to 14"):
        make(tiny, inputs, tmp_path / "out", prompts=("x", "the " * 40))
    assert not list((tmp_path / "out").iterdir())
