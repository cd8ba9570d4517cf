"""Every layout's table covers both sides exactly once, and an order and its inverse give the rows back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.reference import mixtral, published_names

from orfevre.recipe import Model
from orfevre.weights import formats
from orfevre.weights.layout import Layout, num_rows, to_ours, to_theirs

from .conftest import SHAPE, VOCAB, make

shapes = st.builds(
    lambda heads, groups, width, hidden, ffn, experts, layers, tied: Model(
        hidden_size=hidden, num_layers=layers, num_heads=heads * groups, num_kv_heads=groups, head_size=2 * width,
        ffn_size=ffn, num_experts=experts, experts_per_token=1, tie_embeddings=tied,
    ),
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 12), st.integers(1, 9), st.integers(1, 4),
    st.integers(1, 2), st.booleans(),
)  # fmt: skip

LAYOUTS = {
    "own": formats.own,
    "hf": formats.hugging_face,
    "fused": lambda config, vocab: formats.hugging_face(config, vocab, fused=True),
    "dense": formats.hugging_face_dense,
    "mistral": formats.mistral,
    "mistral dense": lambda config, vocab: formats.mistral(config, vocab, router=False),
    "mistral stacked": lambda config, vocab: formats.mistral(config, vocab, stacked=True),
    "gguf": formats.gguf,
}
WITHOUT_ROUTER = ("dense", "mistral dense")


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(config=shapes, vocab=st.integers(1, 20))
def test_pieces_tile_both_sides(name: str, config: Model, vocab: int):
    if "dense" in name:
        config = config.model_copy(update={"num_experts": 1})
    layout: Layout = LAYOUTS[name](config, vocab)
    for theirs, pieces in layout.of_theirs().items():
        assert _tiles([(piece.their_start, piece.their_rows) for piece in pieces]) == num_rows(layout.shapes[theirs])
    ours = formats.own_shapes(config, vocab)
    found = {name: _tiles([(piece.start, piece.rows) for piece in pieces]) for name, pieces in layout.of_ours().items()}
    no_router = name in WITHOUT_ROUTER or (name == "gguf" and config.num_experts == 1)
    skipped = "moe.gate.weight" if no_router else "nothing"
    wanted = {name: num_rows(shape) for name, shape in ours.items() if not name.endswith(skipped)}
    assert found == wanted
    elements = sum(torch.Size(shape).numel() for shape in layout.shapes.values())
    assert elements == sum(torch.Size(ours[name]).numel() for name in wanted)


def _tiles(spans: list[tuple[int, int]]) -> int:
    """Where the spans, laid end to end from 0, end; -1 for a gap or an overlap."""
    end = 0
    for start, length in spans:
        if start != end:
            return -1
        end += length
    return end


@given(
    heads=st.integers(1, 4),
    half=st.integers(1, 5),
    columns=st.integers(1, 4),
    order=st.sampled_from(["same", "interleaved", "transposed"]),
)
def test_orders_are_undone(heads: int, half: int, columns: int, order: str):
    rows = torch.arange(heads * 2 * half * columns).view(heads * 2 * half, columns)
    assert torch.equal(to_ours(to_theirs(rows, order, 2 * half), order, 2 * half), rows)


def test_interleaving_puts_the_pairs_that_rope_turns_side_by_side():
    rows = torch.tensor([[0], [1], [2], [10], [11], [12]])  # one head of six: i is turned with i + 3
    assert to_theirs(rows, "interleaved", 6).flatten().tolist() == [0, 10, 1, 11, 2, 12]


def test_hugging_face_names_are_those_of_transformers():
    model = make(SHAPE)
    state, expected = model.state_dict(), published_names(mixtral(model).state_dict())
    layout = formats.hugging_face(SHAPE, VOCAB)
    assert {name: tuple(tensor.shape) for name, tensor in expected.items()} == dict(layout.shapes)
    for name, pieces in layout.of_theirs().items():
        (piece,) = pieces
        rows = (
            state[piece.ours].view(-1, state[piece.ours].shape[-1]) if state[piece.ours].ndim > 1 else state[piece.ours]
        )
        assert torch.equal(rows[piece.start : piece.start + piece.rows].reshape(expected[name].shape), expected[name])
