"""Open a model wherever it lies: a Hugging Face folder, a Mistral folder, an orfevre run, an orfevre release.

Nothing is read but headers until a tensor is asked for, and no code of the folder is run.

Shapes: H hidden, F inner width of an expert, E experts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from orfevre import recipe
from orfevre.errors import InputError, WorkFolderError
from orfevre.model.attention import rotary_tables
from orfevre.model.transformer import Transformer

from . import formats, huggingface, mistral, stored, tables
from .checks import PICKLES, check_finite, checked, pickle_remedy, refuse_pickles
from .layout import Layout, Piece, num_rows, to_ours


@dataclass
class Opened:
    """A model on disk, its tensors by our names (those of `Transformer.named_parameters`)."""

    path: Path
    format: str
    """`hf`, `mistral` or `orfevre`."""
    config: recipe.Model
    vocab_size: int
    layout: Layout
    entries: Mapping[str, stored.Entry]
    """By the names of the files."""
    special: Mapping[str, Any] = field(default_factory=dict)
    """bos_token_id, eos_token_id, pad_token_id, those that are known."""
    tokenizer_path: Path | None = None
    """tokenizer.json, tekken.json or tokenizer.model."""

    def __post_init__(self) -> None:
        self.shapes = formats.own_shapes(self.config, self.vocab_size)
        self._pieces = self.layout.of_ours()
        self._mapped = stored.Mapped()

    def names(self) -> list[str]:
        return list(self.shapes)

    def dtype(self, name: str) -> torch.dtype:
        """As stored."""
        pieces = self._pieces.get(self._name(name))
        return self.entries[pieces[0].theirs].dtype if pieces else torch.float32

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor in its stored dtype; a view of the file where it lies there as we hold it. Do not write to it."""
        name = self._name(name)
        return self.rows(name, 0, num_rows(self.shapes[name]), mapped=True).view(self.shapes[name])

    def expert(self, layer: int, e: int) -> tuple[torch.Tensor, torch.Tensor]:
        """w13 `[2F, H]` and w2 `[H, F]` of one expert, read from the file now, in memory of their own."""
        if not 0 <= e < self.config.num_experts:
            raise IndexError(f"expert {e} of {self.config.num_experts}")
        inner, hidden = self.config.ffn_size, self.config.hidden_size
        place = f"blocks.{layer}.moe."
        w13 = self.rows(f"{place}w13", 2 * inner * e, 2 * inner * (e + 1))
        return w13, self.rows(f"{place}w2", hidden * e, hidden * (e + 1))

    def rows(self, name: str, start: int, stop: int, *, mapped: bool = False) -> torch.Tensor:
        """Rows of a tensor seen as a matrix (a stack of experts as one), `[stop - start, columns]` or `[stop - start]`.

        Read into memory of their own, or `mapped`: views of the page cache where no rearranging is needed.
        """
        name = self._name(name)
        if name not in self._pieces:  # a dense model has no router; with one expert any router gives it all the weight
            return torch.zeros(stop - start, *self.shapes[name][-1:])
        found = [
            self._piece(piece, max(start, piece.start), min(stop, piece.start + piece.rows), mapped)
            for piece in self._pieces[name]
            if piece.start < stop and start < piece.start + piece.rows
        ]
        return found[0] if len(found) == 1 else torch.cat(found)

    def load(self, dtype: torch.dtype = torch.float32) -> Transformer:
        """The whole model in evaluation mode. Raises InputError for a weight that is not finite."""
        with torch.device("meta"):
            model = Transformer(self.config, self.vocab_size)
        state = {}
        for name, shape in self.shapes.items():
            state[name] = self.rows(name, 0, num_rows(shape)).view(shape).to(dtype).contiguous()
            check_finite(state[name], self.path, name)
        _assign(model, state)
        return model.eval()

    def _name(self, name: str) -> str:
        return "embedding.weight" if self.config.tie_embeddings and name == "output.weight" else name

    def _piece(self, piece: Piece, start: int, stop: int, mapped: bool) -> torch.Tensor:
        """Rows of ours from start to stop, which lie in this piece."""
        entry = self.entries[piece.theirs]
        rows = self._mapped.rows if mapped else stored.read
        first = piece.their_start + start - piece.start
        if piece.order == "same":
            return rows(entry, first, first + stop - start)
        low, high = piece.start, piece.start + piece.rows
        if piece.order == "interleaved":  # only the heads that the rows are of
            width = self.layout.head_width
            low += (start - low) // width * width
            high = min(high, low + -(-(stop - low) // width) * width)
            first = piece.their_start + low - piece.start
            whole = rows(entry, first, first + high - low)
        else:
            whole = rows(entry, piece.their_start, piece.their_start + piece.their_rows)
        return to_ours(whole, piece.order, self.layout.head_width)[start - low : stop - low]


def open_weights(path: Path) -> Opened:
    """Open the model at `path`. Raises UserError naming the file and the remedy for whatever is not one."""
    if path.suffix == ".toml":
        settings = recipe.load(path)
        return _open_run(Path(settings.work) / settings.name)
    if path.is_file():
        raise InputError(f"{path}: {pickle_remedy() if path.suffix in PICKLES else 'a file; give its folder'}")
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; give a model's folder or a recipe")
    if (path / "train").is_dir():
        return _open_run(path)
    refuse_pickles(path)
    if (path / "config.json").is_file() and list(path.glob("model*.safetensors*")):
        return _open_hugging_face(path)
    if (path / "params.json").is_file():
        return _open_mistral(path)
    raise InputError(
        f"{path}: no model here. A Hugging Face folder has config.json and model.safetensors, a Mistral folder "
        "params.json and consolidated.safetensors, an orfevre run a train stage"
    )


def open_trained(train: Path, tokenize: Path) -> Opened:
    """The model that a finished train stage made, with the tokenizer of its run. Raises UserError."""
    if not (train / "summary.json").is_file():
        raise WorkFolderError(f"{train.parent}: no trained model here; `orfevre run RECIPE` makes what is missing")
    table, summary = tables.read(train / "config.json"), tables.read(train / "summary.json")
    config = tables.shape(table.path, table.values)
    file = train / str(summary.get("checkpoint", "")) / "model.safetensors"
    layout = formats.own(config, config.vocab_size)
    entries = checked(file, layout, stored.index([file]))
    index = tokenize / "index.json"
    known = tables.read(index).values if index.is_file() else {}
    special = {f"{name}_token_id": known[name] for name in ("bos", "eos", "pad") if name in known}
    tokenizer = _first(tokenize, ("tokenizer.json",))
    return Opened(train.parent, "orfevre", config, config.vocab_size, layout, entries, special, tokenizer)


def _open_run(folder: Path) -> Opened:
    return open_trained(folder / "train", folder / "tokenize")


def _open_hugging_face(folder: Path) -> Opened:
    table = tables.read(folder / "config.json")
    entries = stored.index(_shards(folder, "model.safetensors.index.json", "model*.safetensors"))
    if table.get("model_type") == "orfevre":
        config, vocab_size = huggingface.read_own(table)
        kind, layout = "orfevre", formats.own(config, vocab_size)
    else:
        config, vocab_size = huggingface.read(table)
        kind, fused = "hf", "model.layers.0.mlp.experts.gate_up_proj" in entries
        dense = table.get("model_type") in huggingface.DENSE
        layout = (
            formats.hugging_face_dense(config, vocab_size)
            if dense
            else formats.hugging_face(config, vocab_size, fused=fused)
        )
    entries = checked(folder, layout, entries, spare=("lm_head.weight",) if config.tie_embeddings else ())
    tokenizer = _first(folder, ("tokenizer.json", "tekken.json", "tokenizer.model"))
    return Opened(folder, kind, config, vocab_size, layout, entries, huggingface.special_ids(table), tokenizer)


def _open_mistral(folder: Path) -> Opened:
    config, vocab_size = mistral.read(table := tables.read(folder / "params.json"))
    entries = stored.index(_shards(folder, "consolidated.safetensors.index.json", "consolidated*.safetensors"))
    stacked = "layers.0.block_sparse_moe.w1" in entries
    layout = formats.mistral(config, vocab_size, stacked=stacked, router=table.get("moe") is not None)
    entries = checked(folder, layout, entries, spare=("output.weight",) if config.tie_embeddings else ())
    tokenizer = _first(folder, ("tekken.json", "tokenizer.json"))
    if tokenizer is None:
        tokenizer = next(iter(sorted(folder.glob("tokenizer.model*"), reverse=True)), None)
    return Opened(folder, "mistral", config, vocab_size, layout, entries, {}, tokenizer)


def _shards(folder: Path, index: str, pattern: str) -> list[Path]:
    """The files of an index, all of which must be there, or those of the pattern."""
    if (folder / index).is_file():
        table = tables.read(folder / index)
        weight_map = table.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise InputError(f"{table.path}: no weight_map; fetch it again")
        paths = [folder / Path(str(name)).name for name in sorted(set(weight_map.values()))]
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: missing, and {index} names it; fetch it too")
        return paths
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise InputError(f"{folder}: no {pattern} here; fetch the weights too")
    return paths


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _assign(model: Transformer, state: Mapping[str, torch.Tensor]) -> None:
    """Give a model on the meta device its tensors: each a parameter or a buffer, tied ones once."""
    tied = model.config.tie_embeddings
    model.load_state_dict(dict(state), strict=False, assign=True)
    if tied:
        model.output.weight = model.embedding.weight
    model.cos, model.sin = rotary_tables(model.config)
    left = [name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if tensor.is_meta]
    assert not left, f"{left} have no value"
