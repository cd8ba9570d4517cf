"""Which token comes next: what a request asks for, and the choice for a batch of requests at once.

In the order of transformers' processors: repetition penalty, temperature, top-k, top-p, min-p. A request draws its own
numbers and every row is worked out alone, so its tokens do not depend on who else is in the batch.

Shapes: B requests, V vocabulary.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from orfevre.errors import InputError, UserError


@dataclass(frozen=True)
class Sampling:
    """What a request asks for. Raises UserError for a value out of range, with the flag's name."""

    tokens: int = 100
    """At most so many new ones."""
    temperature: float = 0.8
    """Logits are divided by it; 0 takes the likeliest token."""
    top_k: int = 0
    """Keep the k likeliest; 0 keeps all."""
    top_p: float = 1.0
    """Keep the fewest likeliest whose mass reaches p (nucleus, arXiv 1904.09751); 1 keeps all."""
    min_p: float = 0.0
    """Keep those at least min_p times as likely as the likeliest (arXiv 2407.01082, section 3); 0 keeps all."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens already there, and multiplies the negative (arXiv 1909.05858, section 4.1,
    with the sign heeded as everybody does); 1 does nothing."""
    seed: int = 1
    stop: tuple[str, ...] = ()
    """The text ends before any of these, which may span tokens."""
    ends: tuple[int, ...] = ()
    """Tokens that end the text, such as </s>."""

    def __post_init__(self) -> None:
        _require("--tokens", self.tokens, self.tokens >= 1, "1 or more")
        _require("--temperature", self.temperature, 0 <= self.temperature < math.inf, "0 (the likeliest token) or more")
        _require("--top-k", self.top_k, self.top_k >= 0, "0 (all) or more")
        _require("--top-p", self.top_p, 0 <= self.top_p <= 1, "from 0 to 1 (all)")
        _require("--min-p", self.min_p, 0 <= self.min_p <= 1, "from 0 (all) to 1")
        penalty = self.repetition_penalty
        _require("--repetition-penalty", penalty, 0 < penalty < math.inf, "above 0; 1 does nothing")
        _require("--stop", self.stop, all(self.stop), "a text that is not empty")


@dataclass
class Draw:
    """One request's settings, its own random numbers, and the tokens it has seen."""

    settings: Sampling
    seen: set[int] = field(default_factory=set)
    """Of the prompt and of what was written; heeded with a repetition penalty only."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.settings.seed)

    def number(self) -> float:
        """The next of its numbers, in [0, 1)."""
        return self._random.random()


def choose(logits_BV: torch.Tensor, draws: Sequence[Draw]) -> list[int]:
    """The next token of each request. Logits are float32; `-inf` excludes a token.

    Raises InputError where they hold NaN.
    """
    if torch.isnan(logits_BV).any():
        raise InputError("the model's logits are NaN: its weights hold NaN, or overflow; take another checkpoint")
    logits_BV = penalise(logits_BV, draws)
    greedy_B = logits_BV.argmax(dim=1)
    if all(draw.settings.temperature == 0 for draw in draws):
        return greedy_B.tolist()
    probabilities_BV = distribution(logits_BV, [draw.settings for draw in draws])
    sums_BV = probabilities_BV.double().cumsum(dim=1)
    numbers = [draw.number() if draw.settings.temperature else 0.0 for draw in draws]
    targets_B1 = torch.tensor(numbers, dtype=torch.float64)[:, None] * sums_BV[:, -1:]
    # the first token at which the sum exceeds the target has a probability above 0
    return torch.searchsorted(sums_BV, targets_B1, right=True)[:, 0].tolist()


def penalise(logits_BV: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Logits with the tokens each request has seen made less likely; the same tensor when none asks for it."""
    asking = [b for b, draw in enumerate(draws) if draw.settings.repetition_penalty != 1 and draw.seen]
    if not asking:
        return logits_BV
    logits_BV = logits_BV.clone()
    for b in asking:
        penalty, seen = draws[b].settings.repetition_penalty, torch.tensor(sorted(draws[b].seen))
        row = logits_BV[b, seen]
        logits_BV[b, seen] = torch.where(row > 0, row / penalty, row * penalty)
    return logits_BV


def distribution(logits_BV: torch.Tensor, settings: Sequence[Sampling]) -> torch.Tensor:
    """What each request draws from, float32 `[B, V]`: 0 for tokens left out, not scaled to sum to 1.

    Temperature 0 is all mass on the likeliest token.
    """
    heats = [each.temperature or 1.0 for each in settings]
    scaled_BV = logits_BV - logits_BV.amax(dim=1, keepdim=True)  # a tiny temperature must not overflow
    probabilities_BV = (scaled_BV / torch.tensor(heats)[:, None]).softmax(dim=1)
    for b, each in enumerate(settings):
        if each.temperature == 0:
            probabilities_BV[b] = 0.0
            probabilities_BV[b, logits_BV[b].argmax()] = 1.0
        elif each.top_k or each.top_p < 1:
            probabilities_BV[b] = _likeliest(probabilities_BV[b], each.top_k, each.top_p)
    floors = torch.tensor([each.min_p for each in settings])[:, None]
    return probabilities_BV.where(probabilities_BV >= floors * probabilities_BV.amax(dim=1, keepdim=True), 0.0)


def _likeliest(p_V: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """The k likeliest, and of those, scaled to sum to 1, the fewest whose mass reaches top_p; at least one.

    Only tokens that can be among them are sorted: those from the k-th largest probability up, and those of a share
    that V of them would need to make up what top_p leaves out. Of equals the lower id comes first.
    """
    few = 0 < top_k < len(p_V)
    floor = p_V.topk(top_k).values[-1] if few else (1 - top_p) / len(p_V) / 2
    ids = (p_V >= floor).nonzero()[:, 0]
    kept, order = p_V[ids].sort(descending=True, stable=True)
    if few:
        kept, order = kept[:top_k], order[:top_k]
    if top_p < 1:
        mass = kept.double()
        whole = mass.sum() if few else p_V.double().sum()
        before = mass.cumsum(0) - mass
        kept = kept[: max(1, int((before < top_p * whole).sum()))]
    result = torch.zeros_like(p_V)
    result[ids[order[: len(kept)]]] = kept
    return result


def _require(flag: str, value: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise UserError(f"{flag} {value}: give {wanted}")
