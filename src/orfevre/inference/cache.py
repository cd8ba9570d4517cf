"""Keys and values of many sequences at once: one static room for each, so that nothing is allocated while decoding.

Shapes: K key-value heads, C context, D head width, S new positions.
"""

import torch

from orfevre import recipe
from orfevre.model.attention import KeyValueCache


class SlotCaches:
    """`kept[layer, 0 or 1, slot]` are keys and values `[K, C, D]`; `lengths[slot]` says how many positions are held."""

    def __init__(self, config: recipe.Model, num_slots: int, dtype: torch.dtype) -> None:
        shape = (config.num_layers, 2, num_slots, config.num_kv_heads, config.context_length, config.head_width)
        self.kept = torch.zeros(shape, dtype=dtype)
        self.lengths = [0] * num_slots

    def of(self, slot: int) -> list["SlotCache"]:
        """A slot as the model's blocks want it, one a layer. `lengths` is left to the caller."""
        return [SlotCache(layer[:, slot], self.lengths[slot]) for layer in self.kept]

    def truncate(self, slot: int, length: int) -> None:
        if not 0 <= length <= self.lengths[slot]:
            raise ValueError(f"slot {slot} holds {self.lengths[slot]} positions, not {length}")
        self.lengths[slot] = length

    def copy(self, source: int, target: int, length: int) -> None:
        """The first positions of `source` become all of `target`."""
        if not 0 <= length <= self.lengths[source]:
            raise ValueError(f"slot {source} holds {self.lengths[source]} positions, not {length}")
        if source != target:
            self.kept[:, :, target, :, :length] = self.kept[:, :, source, :, :length]
        self.lengths[target] = length


class SlotCache(KeyValueCache):
    """One layer of one slot, over memory that belongs to SlotCaches."""

    def __init__(self, kept_2KCD: torch.Tensor, length: int) -> None:
        super().__init__(kept_2KCD.shape[2])
        self.length = length
        self._kept = kept_2KCD[:, None]
