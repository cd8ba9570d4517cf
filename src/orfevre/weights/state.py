"""A state dict in memory under the names of MixtralForCausalLM, and back: by the tables that convert files."""

from collections.abc import Mapping, Sequence

import torch

from orfevre import recipe
from orfevre.errors import UserError

from . import formats
from .layout import Piece


def to_hugging_face(state: Mapping[str, torch.Tensor], config: recipe.Model) -> dict[str, torch.Tensor]:
    """Our state dict under Mixtral's names, one tensor an expert. Tied embeddings leave lm_head out, as there, and the
    blocks that look ahead (mtp) are left out.

    Raises UserError for a model that Mixtral's layout cannot say, ValueError for a name that is no Transformer's.
    """
    _check(config)
    layout = formats.hugging_face(config, len(state["embedding.weight"]))
    _refuse(
        [name for name in state if name not in {*layout.of_ours(), "output.weight"} and not name.startswith("mtp.")]
    )
    return {
        theirs: torch.cat([_rows(state[piece.ours], piece.start, piece) for piece in pieces]).view(
            layout.shapes[theirs]
        )
        for theirs, pieces in layout.of_theirs().items()
    }


def from_hugging_face(state: Mapping[str, torch.Tensor], config: recipe.Model) -> dict[str, torch.Tensor]:
    """The inverse of `to_hugging_face`, for a shape without mtp_depth. Raises KeyError for a missing name, ValueError
    for one left over, UserError as there."""
    _check(config)
    vocab_size = len(state["model.embed_tokens.weight"])
    layout, shapes = formats.hugging_face(config, vocab_size), formats.own_shapes(config, vocab_size)
    ours = {
        name: torch.cat([_rows(state[piece.theirs], piece.their_start, piece) for piece in pieces]).view(shapes[name])
        for name, pieces in layout.of_ours().items()
    }
    if config.tie_embeddings:
        ours["output.weight"] = ours["embedding.weight"]
    _refuse([name for name in state if name not in {*layout.shapes, "lm_head.weight"}])
    return ours


def _rows(tensor: torch.Tensor, start: int, piece: Piece) -> torch.Tensor:
    """Some rows of a tensor seen as a matrix; a piece has as many in theirs as in ours here."""
    return (tensor if tensor.ndim == 1 else tensor.flatten(0, -2))[start : start + piece.rows]


def _check(config: recipe.Model) -> None:
    if beyond := config.beyond_mixtral:
        raise UserError(
            f"{beyond[0]}: the layout of MixtralForCausalLM has no place for it"
            + (f", nor for {', '.join(beyond[1:])}" if beyond[1:] else "")
            + "; train without it to publish in this layout"
        )


def _refuse(names: Sequence[str]) -> None:
    if names:
        raise ValueError(f"{min(names)} is not a parameter of this model ({len(names)} such names)")
