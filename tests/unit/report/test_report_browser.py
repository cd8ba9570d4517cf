"""What only a browser can tell: nothing in the console, and no sideways scrolling on a phone or a desktop."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orfevre.report.build import write

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the page in")

# A frame narrows the page below the least width of a window, and its media queries see the frame. The report holds no
# </script> (test_report_build sees to that), so it can travel in one.
MEASURE = """<!doctype html><meta charset="utf-8"><title>measure</title><body>
<script type="text/plain" id="page">%s</script><script>
const widths = [390, 1280], found = {};
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.srcdoc = document.getElementById("page").textContent;
  frame.onload = () => {
    const inside = frame.contentDocument;
    const sections = inside.querySelectorAll("section").length;
    found[width] = [inside.body.scrollWidth, inside.documentElement.scrollWidth, sections];
    if (Object.keys(found).length === widths.length) document.body.textContent = "FOUND" + JSON.stringify(found);
  };
  document.body.append(frame);
}
</script>"""


def _open(page: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--no-first-run", "--enable-logging=stderr",
             f"--user-data-dir={folder / 'profile'}"]  # fmt: skip
    return subprocess.run(
        [CHROMIUM, *quiet, *arguments, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


def test_no_console_message_and_no_sideways_scrolling(tmp_path: Path) -> None:
    report = write(synthetic_run.make(tmp_path, documents=12)).read_text(encoding="utf-8")
    measure = tmp_path / "measure.html"
    measure.write_text(MEASURE.replace("%s", report), encoding="utf-8")
    seen = _open(measure, tmp_path, "--dump-dom", "--window-size=1400,900")
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []
    match = re.search(r"FOUND(\{.*?\})", seen.stdout)
    assert match, seen.stdout[-2000:]
    found = json.loads(match.group(1))
    for width, (body, document, sections) in found.items():
        assert sections == 19
        assert max(body, document) <= int(width)
