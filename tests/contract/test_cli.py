"""The command line's promises: it answers at once, teaches, and turns mistakes into exit code 2 without a traceback."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.places import ROOT

from orfevre import cli, pipeline

VERBS = ("curate", "tokenize", "mix", "plan", "train", "evaluate", "release", "run", "status", "check", "report")

RECIPE = """
name = "tiny"
work = "{folder}/work"
[[sources]]
name = "prose"
paths = ["{folder}/prose.txt"]
format = "text"
licence = "CC0-1.0"
language = "en"
[mix]
target = {{ prose = 1.0 }}
[train]
tokens = 8192
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "prose.txt").write_text("To be, or not to be, that is the question. " * 200, encoding="utf-8")
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE.format(folder=tmp_path), encoding="utf-8")
    return str(file)


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    modules = imported_by(
        "from orfevre import cli\ntry: cli.main(['run', '--help'])\nexcept SystemExit: pass\nsys.stdout.write('\\n')"
    )
    assert not modules & {"torch", "pydantic", "rich", "numpy", "pyarrow", "fsspec"}


def test_check_needs_no_torch(path: str) -> None:
    modules = imported_by(f"from orfevre import cli\nassert cli.main(['check', {path!r}]) == 0")
    assert "orfevre.plan.price" in modules
    assert "torch" not in modules


@pytest.mark.parametrize("verb", [*VERBS, "generate", "chat", "inspect", "convert", "schema"])
def test_every_verb_teaches(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert "usage: orfevre" in capsys.readouterr().out


def test_check_prints_sources_and_bill(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", path]) == 0
    out = capsys.readouterr().out
    assert "prose" in out and "CC0-1.0" in out and "accelerator-hours" in out
    assert not (Path(path).parent / "work").exists()


def test_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert "sources" in json.loads(capsys.readouterr().out)["properties"]


def test_status_before_anything_ran(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", path]) == 0
    assert capsys.readouterr().out.count("not made yet") == len(pipeline.STAGES)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.toml"], "no such recipe"),
        (["{path}", "--set", "train.tokns=1"], "did you mean 'tokens'?"),
        (["{path}", "--set", "train"], "key.path=value"),
    ],
)
def test_mistakes_exit_2_with_words(
    verb: str, arguments: list[str], words: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, *(argument.format(path=path) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and "Traceback" not in shown.err


def test_check_says_early_that_others_will_not_read_the_release(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", path, "--set", "model.qk_norm=true"]) == 0
    assert "model.qk_norm = true: Mixtral has none of it" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["check", path]) == 0
    assert "Mixtral has none of it" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("sources.prose.paths=['/nowhere/*.txt']", "no file matches"),
        ("sources.prose.paths=['{nowhere}/x']", "unknown placeholder"),
        ("train.tokens=2_000_000_000", "at most"),
        ("plan.farm.gpu='H1000'", "plan.farm.gpu"),
    ],
)
def test_check_refuses_what_cannot_run(
    override: str, words: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", path, "--set", override]) == 2
    assert words in capsys.readouterr().err


def test_empty_source_is_refused(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(path).parent / "prose.txt").write_text("", encoding="utf-8")
    assert cli.main(["check", path]) == 2
    assert "sources.prose.paths" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "status", "curate", "tokenize", "report"])
def test_a_work_folder_of_another_version_is_refused(verb: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(path).parent / "work" / "tiny" / "curate"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format": 99, "orfevre": "9.0.0"}', encoding="utf-8")
    assert cli.main([verb, path]) == 2
    shown = capsys.readouterr().err
    assert "made by orfevre 9.0.0 in format 99" in shown and "--set work=" in shown


def test_text_that_cannot_be_decoded_is_counted_and_told(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(path).parent / "prose.txt").write_bytes(bytes(range(256)) * 9)
    assert cli.main(["curate", path]) == 2
    shown = capsys.readouterr().err
    assert "undecodable" in shown and "prose" in shown and "Traceback" not in shown


@pytest.mark.parametrize("arguments", [["generate", "hello"], ["chat"]])
def test_there_is_nothing_to_write_with(arguments: list[str], path: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *rest = arguments
    for run, words in ((path, "no trained model"), ("/nowhere", "/nowhere: no such folder")):
        assert cli.main([verb, run, *rest]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["generate", "chat"])
@pytest.mark.parametrize(
    ("flag", "value", "remedy"),
    [
        ("--tokens", "0", "1 or more"),
        ("--temperature", "-1", "0 (the likeliest token) or more"),
        ("--temperature", "nan", "0 (the likeliest token) or more"),
        ("--top-k", "-3", "0 (all) or more"),
        ("--top-p", "1.5", "from 0 to 1"),
        ("--min-p", "2", "from 0 (all) to 1"),
        ("--repetition-penalty", "0", "above 0"),
        ("--stop", "", "not empty"),
        ("--weights", "int3", "float32, bfloat16, int8, int4"),
        ("--threads", "-1", "1 or more"),
        ("--offload", "0", "above 0"),
    ],
)
def test_values_out_of_range_are_named(
    verb: str, flag: str, value: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "/nowhere", *(["hello"] if verb == "generate" else []), f"{flag}={value}"]) == 2
    shown = capsys.readouterr().err
    assert flag in shown and value in shown and remedy in shown


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_trouble_of_the_disk_is_told_in_words(
    number: int, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, "trouble", "/work/somewhere")

    monkeypatch.setattr(pipeline, "run", fail)
    assert cli.main(["run", path]) == 2
    assert "/work/somewhere" in (shown := capsys.readouterr().err) and "--set work=" in shown


def test_our_own_defects_are_not_hidden(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "trouble")

    monkeypatch.setattr(pipeline, "run", fail)
    with pytest.raises(OSError, match="trouble"):
        cli.main(["run", path])


def test_stop_by_ctrl_c(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", stop)
    assert cli.main(["run", path]) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def test_module_and_script_are_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orfevre.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("orfevre ")
    assert ROOT.joinpath("CHANGELOG.md").read_text(encoding="utf-8").find(done.stdout.split()[1]) > 0


def test_a_disk_that_is_full_is_said_even_where_numpy_gives_no_number(tmp_path: Path) -> None:
    full = OSError("3584 requested and 3040 written")
    assert "no space left" in str(cli._remedy(full)) and cli._remedy(OSError("anything else")) is None
    with Path("/dev/full").open("wb", buffering=0) as file, pytest.raises(OSError, match=r"written|space") as caught:
        np.zeros(4096, dtype=np.uint8).tofile(file)
    assert "no space left" in str(cli._remedy(caught.value))
