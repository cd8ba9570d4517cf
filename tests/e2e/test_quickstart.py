"""The quickstart as its user runs it. Slow: minutes. What it promises is checked, its time is not."""

import json
from pathlib import Path

import pytest
from tests.e2e.small import orfevre
from tests.places import ROOT

from orfevre import artifact, pipeline


@pytest.mark.slow
def test_quickstart_keeps_its_promises(tmp_path: Path) -> None:
    done = orfevre("run", ROOT / "recipes" / "quickstart.toml", "--set", f"work={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("magnet:?xt=urn:btih:")
    manifests = [artifact.require(tmp_path / "quickstart" / stage.name) for stage in pipeline.STAGES]
    assert all(manifest.peak_memory_mib < 4096 for manifest in manifests), "two processes must fit in 8 GB"
    mixture = json.loads((tmp_path / "quickstart" / "mix" / "mixture.json").read_text(encoding="utf-8"))
    assert mixture["scales"]["proxies"]["runs"] >= 24
    assert mixture["verdict"]["wins"], mixture["verdict"]["text"]
    for name, measured in mixture["measured"].items():
        low, high = mixture["predicted"][name]["interval"]
        assert low - 0.1 < measured["target"] < high + 0.1, f"{name} is far from its prediction"
