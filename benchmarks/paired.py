"""Ratios of paired measurements. A machine drifts from minute to minute; the two halves of a pair drift together."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """How many times the peer's cost is ours, pair by pair: above 1 orfevre wins."""

    pairs: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.pairs)

    def lines(self, peer: str) -> list[str]:
        """The ratio with its spread, then who wins where that is not plain."""
        low, high, lost = min(self.pairs), max(self.pairs), sum(pair < 1 for pair in self.pairs)
        found = [
            f"ratio of speeds, orfevre / {peer}: median {self.median:.2f} "
            f"(min {low:.2f}, max {high:.2f}, {len(self.pairs)} pairs)"
        ]
        if self.median < 1:
            found.append(f"orfevre loses: {peer} is {1 / self.median:.2f} times as fast here")
        elif lost:
            found.append(f"orfevre is the slower one in {lost} of the {len(self.pairs)} pairs")
        return found


def ratio(ours: Sequence[float], peers: Sequence[float]) -> Ratio:
    """Of seconds (or any cost) of equal work, measured in turns."""
    return Ratio(tuple(peer / our for our, peer in zip(ours, peers, strict=True)))
