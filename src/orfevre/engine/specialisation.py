"""What experts specialise in, from how often each was chosen: entropies, mutual information, distances. NumPy only.

Entropies are in bits (Shannon 1948). Estimates from counts are plain ones ("plug-in"), which see some specialisation in
any finite sample; `mutual_information` is therefore given with its chance level: the same figure after the documents
were dealt to the domains at random, so that the tokens of a document stay together.

Shapes: D documents, S domains, L layers, E experts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DEALS = 100
"""Random deals of documents behind a chance level."""


def shares(counts: npt.NDArray[Any]) -> Floats:
    """Counts scaled to sum to 1 over the last axis; where there are none, even shares."""
    total = counts.sum(axis=-1, keepdims=True, dtype=np.float64)
    even = np.full(counts.shape, 1.0 / counts.shape[-1])
    found: Floats = np.divide(counts, total, out=even, where=total > 0)
    return found


def entropy(p: Floats) -> Floats:
    """-sum p log2 p over the last axis, bits; 0 log 0 is 0."""
    logs = np.log2(p, out=np.zeros_like(p, dtype=np.float64), where=p > 0)
    return np.asarray(np.maximum(-(p * logs).sum(axis=-1), 0.0))


def mutual_information(counts_SE: npt.NDArray[Any]) -> Floats:
    """Bits that a token's expert tells about its domain, were all domains equally frequent; `[..., S, E]` -> `[...]`.

    I(domain; expert) = H(mean of p_s) - mean of H(p_s) (Cover and Thomas, Elements of Information Theory, theorem
    2.4.1), which is also the generalised Jensen-Shannon divergence of the domains (Lin 1991). Domains without a count
    must be left out. From 0 (all domains alike) to log2 min(S, E).
    """
    p = shares(counts_SE)
    return np.asarray(np.maximum(entropy(p.mean(axis=-2)) - entropy(p).mean(axis=-1), 0.0))


def distances(counts_SE: npt.NDArray[Any]) -> Floats:
    """Jensen-Shannon distance between every two domains, `[S, S]`: the root of the divergence in bits, a metric from 0
    to 1 (Endres and Schindelin 2003)."""
    p = shares(counts_SE)
    middle = entropy((p[:, None] + p[None, :]) / 2)
    ends = entropy(p)
    divergence = middle - (ends[:, None] + ends[None, :]) / 2
    divergence[np.abs(divergence) < 1e-12] = 0.0  # rounding, whose root would look like a difference
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def chance(counts_DLE: Counts, domain_D: npt.NDArray[np.intp], seed: int) -> tuple[Floats, Floats]:
    """Mutual information by layer when documents are dealt to the domains at random: mean and 95 % quantile, `[L]`.

    Every domain keeps its number of documents. Tokens of one document resemble each other, so that shuffling tokens
    would take the specialisation on a document for one on its domain.
    """
    generator = np.random.default_rng(seed)
    flat = counts_DLE.reshape(len(counts_DLE), -1).astype(np.float64)
    found = []
    for _ in range(DEALS):
        dealt = generator.permutation(domain_D)
        member_SD = (np.arange(domain_D.max() + 1)[:, None] == dealt).astype(np.float64)
        counts_SLE = (member_SD @ flat).reshape(-1, *counts_DLE.shape[1:])
        found.append(mutual_information(counts_SLE.swapaxes(0, 1)))
    drawn = np.stack(found)
    return drawn.mean(axis=0), np.quantile(drawn, 0.95, axis=0)


def summarise(documents: Mapping[str, Counts | Sequence[Any]], seed: int) -> dict[str, Any]:
    """JSON of the specialisation, from the expert counts of each domain's documents `[D, L, E]`.

    `{"sources": [name, ...], "layers": [{"mutual_information", "chance", "chance_95", "share", "load_entropy",
    "load_entropy_share", "distances": [[x, ...] per source]}]}`: bits; `share` is of log2 min(S, E), the most there can
    be, `load_entropy` that of all domains together, equally frequent, and its share of log2 E. Chance levels are null
    where no document could be dealt otherwise. Domains without a count are left out; fewer than two leave no layers.
    """
    arrays = {name: np.asarray(counts, dtype=np.int64) for name, counts in documents.items()}
    arrays = {name: counts for name, counts in arrays.items() if counts.size and counts.sum()}
    names = list(arrays)
    if len(names) < 2:
        return {"sources": names, "layers": []}
    counts_SLE = np.stack([counts.sum(axis=0) for counts in arrays.values()])
    domain_D = np.repeat(np.arange(len(names)), [len(counts) for counts in arrays.values()])
    information = mutual_information(counts_SLE.swapaxes(0, 1))
    can_be_dealt = len(domain_D) > len(names)
    mean, high = chance(np.concatenate(list(arrays.values())), domain_D, seed) if can_be_dealt else (None, None)
    num_experts = counts_SLE.shape[2]
    most = np.log2(min(len(names), num_experts))
    layers = []
    for layer in range(counts_SLE.shape[1]):
        load = float(entropy(shares(counts_SLE[:, layer]).mean(axis=0)))
        layers.append({
            "mutual_information": float(information[layer]),
            "chance": None if mean is None else float(mean[layer]),
            "chance_95": None if high is None else float(high[layer]),
            "share": float(information[layer] / most) if most else 0.0,
            "load_entropy": load,
            "load_entropy_share": share_of_most(load, num_experts),
            "distances": distances(counts_SLE[:, layer]).tolist(),
        })  # fmt: skip
    return {"sources": names, "layers": layers}


def share_of_most(bits: float, num_experts: int) -> float:
    """An entropy over experts as a share of log2 E; 1 where there is one expert and nothing to choose."""
    return bits / float(np.log2(num_experts)) if num_experts > 1 else 1.0
