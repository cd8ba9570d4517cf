"""The copy of a model that training in bfloat16 runs: made once, refreshed by the optimiser as it steps.

Matrices that multiply are bfloat16 copies of the float32 master weights. What needs the precision is shared with the
master and stays float32: norms, routers, and the embedding, whose gradient adds up many small rows for a frequent token
(but a tied embedding is the output projection's matrix, and so a copy).
"""

import copy
from dataclasses import dataclass

import torch

from orfevre.model.transformer import Transformer


@dataclass(frozen=True)
class Working:
    """What the loop runs, beside the master weights that the optimiser steps."""

    model: Transformer
    pairs: tuple[tuple[torch.nn.Parameter, torch.nn.Parameter], ...]
    """Master and working parameter, in the model's order; one and the same where they are shared."""


def working(master: Transformer, dtype: torch.dtype) -> Working:
    """The master itself in float32, else a copy of it in which products are of `dtype`."""
    parameters = list(master.parameters())
    if dtype == torch.float32:
        return Working(master, tuple((each, each) for each in parameters))
    spared = {id(module.weight) for name, module in master.named_modules() if name.endswith(".gate")}
    if master.embedding.weight is not master.output.weight:
        spared.add(id(master.embedding.weight))
    # deepcopy takes what its memo holds instead of copying it; buffers are shared, so that both see them change
    memo: dict[int, object] = {id(buffer): buffer for buffer in master.buffers()}
    for each in parameters:
        kept = each.ndim == 1 or id(each) in spared
        memo[id(each)] = each if kept else torch.nn.Parameter(each.detach().to(dtype))
    pairs = tuple((each, memo[id(each)]) for each in parameters)
    return Working(copy.deepcopy(master, memo), pairs)  # type: ignore[arg-type]
