"""Continuous batching: everyone gets what they would get alone, in turn, and nothing is computed twice."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.errors import UserError
from orfevre.inference.batch import Batch, Ending
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.generate import generate
from orfevre.inference.sampling import Sampling
from orfevre.inference.slots import common
from orfevre.model.transformer import Transformer

GREEDY = Sampling(tokens=8, temperature=0)


def letters(ids: Sequence[int]) -> str:
    """A tokenizer whose tokens are letters, and one of which (0) is special."""
    return "".join(chr(ord("A") + token) for token in ids if token)


class Watched(TorchDecoder):
    """Keeps what it was asked for."""

    def __init__(self, model: Transformer, num_slots: int) -> None:
        super().__init__(model, num_slots)
        self.prefills: list[tuple[int, int]] = []
        self.steps: list[list[int]] = []

    def prefill(self, slot: int, ids: Sequence[int]) -> torch.Tensor:
        self.prefills.append((slot, len(ids)))
        return super().prefill(slot, ids)

    def step(self, slots: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
        self.steps.append(list(slots))
        return super().step(slots, ids)


def alone(model: Transformer, ids: Sequence[int], sampling: Sampling) -> tuple[int, ...]:
    return tuple(generate(TorchDecoder(model), ids, sampling))


def run(batch: Batch) -> tuple[dict[int, str], dict[int, Ending]]:
    texts: dict[int, str] = {}
    endings: dict[int, Ending] = {}
    for piece in batch.stream():
        assert piece.request not in endings, "nothing follows the ending"
        texts[piece.request] = texts.get(piece.request, "") + piece.text
        if piece.ending:
            endings[piece.request] = piece.ending
    return texts, endings


@settings(max_examples=40, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=20), min_size=1, max_size=7),
    num_slots=st.integers(1, 4),
    chunk=st.integers(1, 12),
    data=st.data(),
)
def test_everyone_gets_what_they_would_get_alone(
    model: Transformer, prompts: list[list[int]], num_slots: int, chunk: int, data: st.DataObject
) -> None:
    """Prompts of few different tokens share beginnings, so prefixes are reused too. Some are greedy, some draw."""
    asked = [
        Sampling(
            tokens=data.draw(st.integers(1, 9)),
            temperature=data.draw(st.sampled_from([0.0, 0.9])),
            repetition_penalty=data.draw(st.sampled_from([1.0, 1.5])),
            seed=seed,
            ends=(7,),
        )
        for seed in range(len(prompts))
    ]
    batch = Batch(TorchDecoder(model, num_slots), letters, chunk)
    late = data.draw(st.integers(0, len(prompts)))
    for ids, sampling in zip(prompts[:late], asked[:late], strict=True):
        batch.add(ids, sampling)
    batch.round()  # the rest come while the first are running
    for ids, sampling in zip(prompts[late:], asked[late:], strict=True):
        batch.add(ids, sampling)
    endings = dict(run(batch)[1])
    for number, ending in endings.items():
        assert ending.ids == alone(model, prompts[number], asked[number])
        assert ending.prompt_tokens == len(prompts[number]) > ending.reused_tokens
    assert not batch.busy


def test_text_is_that_of_the_tokens_up_to_the_end_token(model: Transformer) -> None:
    ids = alone(model, [1, 2, 3], GREEDY)
    batch = Batch(TorchDecoder(model, 2), letters)
    batch.add([1, 2, 3], GREEDY)
    batch.add([1, 2, 3], Sampling(tokens=8, temperature=0, ends=(ids[4],)))
    texts, endings = run(batch)
    assert texts[0] == letters(ids)
    assert (texts[1], endings[1].reason) == (letters(ids[: ids.index(ids[4])]), "end")
    assert endings[0].reason == "tokens"


def test_a_stop_string_across_tokens_ends_a_request_and_never_shows(model: Transformer) -> None:
    text = letters(alone(model, [1, 2, 3], GREEDY))
    batch = Batch(TorchDecoder(model), letters)
    batch.add([1, 2, 3], Sampling(tokens=8, temperature=0, stop=(text[3:6],)))
    texts, endings = run(batch)
    assert texts[0] == text[: text.index(text[3:6])]
    assert endings[0].reason == "stop"


def test_a_full_context_ends_a_request(model: Transformer) -> None:
    batch = Batch(TorchDecoder(model), letters)
    batch.add([1] * 60, GREEDY)
    assert run(batch)[1][0].reason == "context"


def test_a_long_prompt_does_not_stall_those_who_write(model: Transformer) -> None:
    decoder = Watched(model, 2)
    batch = Batch(decoder, letters, chunk=8)
    batch.add([1, 2], Sampling(tokens=20, temperature=0))
    batch.round()
    batch.add([5] * 40, GREEDY)
    before = len(decoder.steps)
    for _ in range(5):
        batch.round()
    assert len(decoder.steps) - before == 5, "a step in each of the five rounds the prompt took"
    assert decoder.prefills[1:] == [(1, 8)] * 5


def test_slots_are_refilled_at_once_and_in_the_order_of_asking(model: Transformer) -> None:
    decoder = Watched(model, 2)
    batch = Batch(decoder, letters)
    for number in range(6):
        batch.add([number + 1], Sampling(tokens=2 + 3 * (number % 2), temperature=0))
    firsts: list[int] = []
    for piece in batch.stream():
        if piece.request not in firsts:
            firsts.append(piece.request)
    assert firsts == sorted(firsts)
    # 1 or 4 steps each (the first token comes of the prompt): 15 tokens in all, two a step while two are there
    assert sum(map(len, decoder.steps)) == 15 and len(decoder.steps) <= 9


def test_a_beginning_in_common_is_computed_once(model: Transformer) -> None:
    decoder = Watched(model, 3)
    batch = Batch(decoder, letters)
    instructions = list(range(10, 40))
    for last in range(3):
        batch.add([*instructions, last], GREEDY)
    endings = run(batch)[1]
    assert [endings[n].reused_tokens for n in range(3)] == [0, 30, 30]
    assert sum(size for _, size in decoder.prefills) == 31 + 1 + 1


def test_a_conversation_goes_on_where_it_was(model: Transformer) -> None:
    decoder = Watched(model, 2)
    batch = Batch(decoder, letters)
    history = [1, 2, 3]
    for turn in range(3):
        number = batch.add(history, GREEDY)
        ending = run(batch)[1][number]
        assert ending.reused_tokens == (0 if turn == 0 else len(history) - 3)
        history = [*history, *ending.ids, 5, 6]
        assert ending.ids == alone(model, history[: -len(ending.ids) - 2], GREEDY)


def test_the_slot_unused_for_longest_is_given_up(model: Transformer) -> None:
    decoder = Watched(model, 2)
    batch = Batch(decoder, letters)
    reused = []
    for ids in ([1] * 9, [2] * 9, [1] * 9, [3] * 9, [1] * 9, [2] * 9):
        number = batch.add(ids, Sampling(tokens=1, temperature=0))
        reused.append(run(batch)[1][number].reused_tokens)
    assert reused == [0, 0, 8, 0, 8, 0]


def test_cancelled_requests_free_their_slots(model: Transformer) -> None:
    batch = Batch(TorchDecoder(model, 1), letters, chunk=4)
    running, waiting, other = (batch.add([token] * 6, GREEDY) for token in (1, 2, 3))
    batch.round()
    batch.cancel(waiting)
    batch.cancel(running)
    batch.cancel(running)
    endings = run(batch)[1]
    assert [endings[n].reason for n in (running, waiting, other)] == ["cancelled", "cancelled", "tokens"]
    assert endings[other].ids == alone(model, [3] * 6, GREEDY)


@pytest.mark.parametrize(
    ("ids", "words"),
    [([], "empty"), ([1] * 64, "64 tokens: .* 1 to 63"), ([50], "id 50"), ([-1], "id -1")],
)
def test_a_prompt_that_cannot_be_continued_is_refused(ids: list[int], words: str, model: Transformer) -> None:
    with pytest.raises(UserError, match=words):
        Batch(TorchDecoder(model), letters).add(ids, GREEDY)
    with pytest.raises(UserError, match=words):
        next(generate(TorchDecoder(model), ids, GREEDY))


@given(first=st.lists(st.integers(0, 2)), second=st.lists(st.integers(0, 2)))
def test_common_beginnings(first: list[int], second: list[int]) -> None:
    size = common(first, second)
    assert first[:size] == second[:size]
    assert first == second or first[: size + 1] != second[: size + 1]


def test_every_option_of_the_model_can_be_batched(make_model: Callable[..., Transformer]) -> None:
    made = make_model(sliding_window=6, qk_norm=True, shared_experts=1, router="sigmoid", balancing="bias")
    batch = Batch(TorchDecoder(made, 2), letters, chunk=5)
    prompts = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3], [1, 2, 3, 4, 5, 6, 9]]
    for ids in prompts:
        batch.add(ids, GREEDY)
    endings = run(batch)[1]
    assert [endings[n].ids for n in range(3)] == [alone(made, ids, GREEDY) for ids in prompts]
