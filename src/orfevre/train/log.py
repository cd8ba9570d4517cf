"""metrics.jsonl of the training run: one line a step, one more for each validation."""

import json
from collections.abc import Mapping
from pathlib import Path

from orfevre import artifact, metrics
from orfevre.engine.loop import StepReport


class Log:
    """Continues the metrics of an earlier attempt, cut back to the `step` it goes on from."""

    def __init__(self, path: Path, flops_per_token: float, step: int) -> None:
        self.path, self.flops_per_token = path, flops_per_token
        rows = [row for row in metrics.read(path) if row["step"] <= step]
        steps = [row for row in rows if "tokens" in row]
        self.tokens: int = steps[-1]["tokens"] if steps else 0
        self.seconds: float = steps[-1]["seconds"] if steps else 0.0
        self._validations = len(rows) - len(steps)
        artifact.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))

    def step(self, report: StepReport) -> str:
        """Write the line; returns what to show of it."""
        tokens_per_second = (report.tokens - self.tokens) / max(report.seconds - self.seconds, 1e-9)
        self.tokens, self.seconds = report.tokens, report.seconds
        gflops_per_second = tokens_per_second * self.flops_per_token / 1e9
        row = vars(report) | {"tokens_per_second": tokens_per_second, "gflops_per_second": gflops_per_second}
        metrics.append(self.path, row)
        return f"step {report.step}, loss {report.loss:.3f}, {gflops_per_second:.0f} GFLOP/s"

    def validation(self, step: int, bits_per_byte: Mapping[str, float]) -> None:
        metrics.append(self.path, {"step": step, "validation": dict(bits_per_byte)})
        self._validations += 1

    def num_validations(self) -> int:
        """Earlier attempts included."""
        return self._validations
