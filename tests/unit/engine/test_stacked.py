"""K models in a stack learn what each would have learnt alone: losses of every step, weights, bits per byte."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from orfevre import recipe
from orfevre.engine import loop, stacked
from orfevre.engine.build import build
from orfevre.errors import UserError
from orfevre.kernels import train as kernels
from orfevre.model.stacked import Stack
from orfevre.model.transformer import Transformer

VOCAB, BOS = 61, 0
BASE: dict[str, object] = {
    "hidden_size": 16, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 24, "num_experts": 4,
    "context_length": 16,
}  # fmt: skip
OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "dense": {"num_experts": 1, "experts_per_token": 1},
    "qk_norm": {"qk_norm": True},
    "tied": {"tie_embeddings": True},
    "window": {"sliding_window": 5},
    "shared": {"shared_experts": 2},
    "sigmoid": {"router": "sigmoid"},
    "bias": {"balancing": "bias", "bias_update_rate": 0.02},
    "all": {
        "qk_norm": True, "tie_embeddings": True, "sliding_window": 6, "shared_experts": 1, "router": "sigmoid",
        "balancing": "bias", "bias_update_rate": 0.02, "head_size": 6, "num_layers": 1, "num_experts": 6,
    },
}  # fmt: skip


class Batches:
    """Random tokens, one in eight the start of a document."""

    def __init__(self, seed: int, training: recipe.Training) -> None:
        self.seed, self.training = seed, training

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        generator = np.random.default_rng([self.seed, step])
        size = (self.training.batch_sequences, self.training.sequence_length + 1)
        ids = generator.integers(1, VOCAB, size)
        return np.where(generator.random(size) < 0.125, BOS, ids)


def shape_of(options: dict[str, object]) -> recipe.Model:
    return recipe.Model.model_validate(BASE | options)


def training_of(**more: object) -> recipe.Training:
    table = {"tokens": 20 * 4 * 16, "batch_sequences": 4, "sequence_length": 16, "optim": {"learning_rate": 0.01}}
    return recipe.Training.model_validate(table | more)


def alone(shape: recipe.Model, training: recipe.Training, seed: int) -> tuple[Transformer, list[loop.StepReport]]:
    model, reports = build(shape, VOCAB, seed), list[loop.StepReport]()
    loop.train(model, Batches(seed, training), training, bos=BOS, on_step=reports.append)
    return model, reports


def together(
    shape: recipe.Model, training: recipe.Training, seeds: list[int]
) -> tuple[list[Transformer], list[list[loop.StepReport]], list[loop.TrainResult | UserError]]:
    models, rows = [build(shape, VOCAB, seed) for seed in seeds], list[list[loop.StepReport]]()
    loaders = [Batches(seed, training) for seed in seeds]
    results = stacked.train(models, loaders, training, bos=BOS, on_step=lambda row: rows.append(list(row)))
    return models, [list(column) for column in zip(*rows, strict=True)], results


def assert_same(model: Transformer, other: Transformer) -> None:
    mine, theirs = model.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.allclose(tensor, theirs[name], rtol=2e-4, atol=2e-5), name


@pytest.mark.parametrize("mask", [True, False], ids=["documents", "unmasked"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_stack_is_so_many_separate_runs(options: dict[str, object], mask: bool) -> None:
    shape, training, seeds = shape_of(options), training_of(document_mask=mask), [3, 5, 8]
    models, columns, results = together(shape, training, seeds)
    for seed, model, reports, result in zip(seeds, models, columns, results, strict=True):
        other, wanted = alone(shape, training, seed)
        assert isinstance(result, loop.TrainResult)
        assert (result.steps, result.tokens) == (training.num_steps, training.tokens)
        for mine, one in zip(reports, wanted, strict=True):
            assert (mine.step, mine.tokens, mine.learning_rate) == (one.step, one.tokens, one.learning_rate)
            for figure in ("loss", "aux_loss", "z_loss", "grad_norm"):
                assert getattr(mine, figure) == pytest.approx(getattr(one, figure), rel=1e-4, abs=1e-6), figure
        assert_same(model, other)
        assert not model.training


def test_without_clipping_and_with_another_schedule() -> None:
    rules = {"learning_rate": 0.01, "grad_clip": 0.0, "schedule": "wsd", "weight_decay": 0.3}
    shape, training = shape_of({}), training_of(optim=rules)
    models, _, _ = together(shape, training, [1, 2])
    for seed, model in zip([1, 2], models, strict=True):
        assert_same(model, alone(shape, training, seed)[0])


def test_a_stack_of_one() -> None:
    shape, training = shape_of({}), training_of()
    (model,), _, _ = together(shape, training, [4])
    assert_same(model, alone(shape, training, 4)[0])


def test_without_the_c_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, training = shape_of({"qk_norm": True}), training_of(tokens=6 * 64)
    wanted = alone(shape, training, 7)[0]
    monkeypatch.setattr(kernels, "library", lambda: None)
    models, _, _ = together(shape, training, [7, 9])
    assert_same(models[0], wanted)


class Poisoned(Batches):
    """At the third step the model's embedding of a token is no number any more."""

    def __init__(self, seed: int, training: recipe.Training, spoil: Callable[[], object]) -> None:
        super().__init__(seed, training)
        self.spoil = spoil

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        if step == 2:
            self.spoil()
        return super().batch(step)


def test_a_model_that_diverges_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, training, seeds = shape_of({"balancing": "bias"}), training_of(), [3, 5, 8]
    stacks: list[Stack] = []

    class Kept(Stack):
        def __init__(self, models: Sequence[Transformer]) -> None:
            super().__init__(models)
            stacks.append(self)

    monkeypatch.setattr(stacked, "Stack", Kept)

    def spoil() -> None:
        stacks[0].weights["embedding.weight"].data[1] = torch.nan

    models = [build(shape, VOCAB, seed) for seed in seeds]
    loaders = [Batches(3, training), Poisoned(5, training, spoil), Batches(8, training)]
    first, second, third = stacked.train(models, loaders, training, bos=BOS)
    assert isinstance(first, loop.TrainResult) and isinstance(third, loop.TrainResult)
    for index in (0, 2):
        assert_same(models[index], alone(shape, training, seeds[index])[0])

    other = build(shape, VOCAB, 5)
    with pytest.raises(UserError) as refused:
        loop.train(
            other, Poisoned(5, training, lambda: other.embedding.weight.data.fill_(torch.nan)), training, bos=BOS
        )
    assert str(second) == str(refused.value)
    assert isinstance(second, UserError) and "step 3 of 20: loss nan" in str(second)


def test_all_that_diverge_end_at_once() -> None:
    training, steps = training_of(), list[Sequence[loop.StepReport]]()
    models = [build(shape_of({}), VOCAB, seed) for seed in (1, 2)]
    for model in models:
        model.norm.weight.data.fill_(torch.inf)
    loaders = [Batches(seed, training) for seed in (1, 2)]
    results = stacked.train(models, loaders, training, bos=BOS, on_step=steps.append)
    assert len(steps) == 1 and all("step 1 of 20" in str(each) for each in results)


def test_what_cannot_be_stacked_names_the_field() -> None:
    models = [build(shape_of({"mtp_depth": 1}), VOCAB, seed) for seed in (1, 2)]
    with pytest.raises(UserError, match="mtp_depth = 1 cannot be trained as a stack"):
        Stack(models)
    with pytest.raises(ValueError, match="different shapes"):
        Stack([build(shape_of({}), VOCAB, 1), build(shape_of({"ffn_size": 8}), VOCAB, 1)])


def test_what_the_caller_must_give() -> None:
    model, training = build(shape_of({}), VOCAB, 1), training_of()
    with pytest.raises(ValueError, match="give bos"):
        stacked.train([model], [Batches(1, training)], training)
    half = recipe.Train.model_validate(training.model_dump() | {"dtype": "bfloat16"})
    with pytest.raises(ValueError, match="float32, not bfloat16"):
        stacked.train([model], [Batches(1, training)], half, bos=BOS)


def test_ids_out_of_range_and_long_sequences_are_refused() -> None:
    stack = Stack([build(shape_of({}), VOCAB, 1)])
    with pytest.raises(UserError, match="outside the vocabulary"):
        stack.losses(torch.full((1, 2, 4), VOCAB), torch.zeros(1, 2, 4, dtype=torch.int64))
    ids = torch.zeros(1, 2, 17, dtype=torch.int64)
    with pytest.raises(UserError, match="context_length 16"):
        stack.losses(ids, ids)
