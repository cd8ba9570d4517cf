"""The command line: verbs to functions, mistakes to exit code 2. Nothing heavy is imported before a verb needs it."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orfevre import __version__, cli_data, cli_mix, cli_model

if TYPE_CHECKING:
    from orfevre.recipe import Recipe

STAGE_HELP = {
    "curate": "raw sources -> clean, deduplicated documents, every drop kept with its reason",
    "tokenize": "documents -> a byte-level BPE and token shards",
    "mix": "shards -> the mixture, chosen by measured small runs and then checked",
    "plan": "mixture and farm -> the bill: memory, hours, euros, kWh, the price of the wrong mix",
    "train": "shards and mixture -> a Mixtral-style model",
    "evaluate": "model -> bits per byte with confidence intervals, expert load, samples",
    "release": "model and ledger -> a folder Hugging Face tools load, model card, torrent, magnet link",
}

EPILOG = """\
first steps:
  orfevre check recipes/quickstart.toml     what the recipe would read, and what the run would cost
  orfevre run recipes/quickstart.toml       the whole journey; run it again and only what is stale is redone
  orfevre status recipes/quickstart.toml    how each stage stands, and why one is stale
  orfevre generate recipes/quickstart.toml "def read("

where text comes from and where it went:
  trace, forget; each --help has examples

one model, wherever it lies (a run, a release, a Hugging Face or Mistral folder):
  generate, chat, inspect, convert; each --help has examples

A recipe is one TOML file; `orfevre schema` lists every key. --set changes one for this call:
  orfevre run recipes/quickstart.toml --set train.tokens=2_000_000 --set sources.readmes.max_epochs=2

exit codes: 0 done, 1 a defect of orfevre, 2 something to mend in the recipe, the input or the work folder, 130 stopped
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # OpenMP's threads spin while they wait for one another; on a machine that does anything else the thread they wait
    # for may not be running, and a step took 20 times as long (docs/log.md). Read when torch is imported, so set here.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # NumPy's products are small: shared out over threads, a fit of 512 runs took 19 s where one thread takes 9
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    verb: Callable[[argparse.Namespace], int] = options.function
    from orfevre import console
    from orfevre.errors import UserError

    try:
        return verb(options)
    except UserError as mistake:
        console.error(str(mistake))
        return 2
    except OSError as trouble:
        if (remedy := _remedy(trouble)) is None:
            raise
        console.error(remedy)
        return 2
    except KeyboardInterrupt:
        resumes = options.verb == "run" or options.verb in STAGE_HELP
        console.say(f"stopped{'; the same command goes on from the last checkpoint' if resumes else ''}")
        return 130


def _remedy(trouble: OSError) -> str | None:
    """Words for trouble of the disk or the terminal; None when it is a defect of ours."""
    where = trouble.filename or "the work folder"
    short_write = trouble.errno is None and re.fullmatch(
        r"\d+ requested and \d+ written", str(trouble)
    )  # NumPy's words
    if short_write or trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{where}: no space left on the disk. Nothing that was finished is lost: free some space, or give another "
            "folder with --set work=FOLDER, and run again"
        )
    if trouble.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}: {trouble.strerror}; give a folder you may write to with --set work=FOLDER, or mend its rights"
    return None


def _run(options: argparse.Namespace) -> int:
    from orfevre import console, pipeline
    from orfevre.report import build

    recipe = _recipe(options)
    pipeline.run(recipe, options.start)
    console.result(f"report: {build.write(pipeline.run_folder(recipe))}")
    _print_magnet(recipe)
    return 0


def _stage(options: argparse.Namespace) -> int:
    from orfevre import console, pipeline

    recipe = _recipe(options)
    pipeline.run_one(recipe, options.verb)
    console.result(str(pipeline.run_folder(recipe) / options.verb))
    if options.verb == "release":
        _print_magnet(recipe)
    return 0


def _status(options: argparse.Namespace) -> int:
    from orfevre import console, pipeline

    rows = []
    for state in pipeline.status(_recipe(options)):
        made = state.manifest
        spent = console.duration(made.wall_seconds) if made else ""
        rows.append((state.stage.name, "fresh" if state.fresh else "stale" if made else "missing", spent, state.why))
    console.table(("stage", "state", "took", "why"), rows)
    return 0


def _check(options: argparse.Namespace) -> int:
    from orfevre import check

    check.check(_recipe(options))
    return 0


def _report(options: argparse.Namespace) -> int:
    from orfevre import console, pipeline
    from orfevre.report import build

    console.result(str(build.write(pipeline.run_folder(_recipe(options)))))
    return 0


def _schema(options: argparse.Namespace) -> int:
    import json

    from orfevre import console
    from orfevre.recipe import Recipe

    console.result(json.dumps(Recipe.model_json_schema(), indent=2))
    return 0


def _recipe(options: argparse.Namespace) -> "Recipe":
    from orfevre import recipe

    return recipe.load(Path(options.recipe), options.overrides)


def _print_magnet(recipe: "Recipe") -> None:
    from orfevre import console, pipeline

    console.result((pipeline.run_folder(recipe) / "release" / "magnet.txt").read_text(encoding="utf-8").strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orfevre",
        description="From raw text to a released Mixtral-class model, the mixture chosen by measured small runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"orfevre {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_journey(verbs)
    for name, purpose in STAGE_HELP.items():
        _with_recipe(verbs.add_parser(name, help=purpose, description=_sentence(purpose)), _stage)
    cli_data.add(verbs)
    cli_model.add(verbs)
    cli_mix.add(verbs)
    schema = verbs.add_parser("schema", help="print the recipe's JSON Schema, every key with its meaning")
    schema.set_defaults(function=_schema)
    return parser


def _add_journey(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = _with_recipe(
        verbs.add_parser(
            "run",
            help="the whole journey: do every stage that is missing or stale, write the report",
            description="Do every stage that is missing or stale, say why in one line, write report.html. The last "
            "line printed is the release's magnet link. Safe to kill and start again.",
        ),
        _run,
    )
    run.add_argument(
        "--from", dest="start", metavar="STAGE", choices=tuple(STAGE_HELP), help=f"force {', '.join(STAGE_HELP)}"
    )
    _with_recipe(verbs.add_parser("status", help="how each stage stands, and why one is stale"), _status)
    _with_recipe(
        verbs.add_parser(
            "check",
            help="validate the recipe, list what each source would read, price the run",
            description="Validate the recipe, find every source's files, and price the run. Nothing is written.",
        ),
        _check,
    )
    _with_recipe(verbs.add_parser("report", help="write report.html from the stages that are finished"), _report)


def _with_recipe(
    parser: argparse.ArgumentParser, function: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file such as recipes/quickstart.toml")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one key of the recipe, for instance train.tokens=2_000_000; may be given many times",
    )
    parser.set_defaults(function=function)
    return parser


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}. Its inputs must be there: `orfevre run` makes them in order."


if __name__ == "__main__":
    sys.exit(main())
