"""The verbs on data that a run has made: trace, forget and export. The same rules as in cli.py."""

import argparse
from pathlib import Path
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

RUN_HELP = "a recipe, or a run's folder"

TRACE_EXAMPLES = """\
examples:
  orfevre trace work/quickstart 0123456789abcdef
  orfevre trace work/quickstart "Return the smallest item of a non-empty iterable"
"""
FORGET_EXAMPLES = """\
examples:
  orfevre forget recipes/mine.toml --url https://example.org/page --reason "asked by its author"
  orfevre forget recipes/mine.toml --domain example.org
  orfevre forget recipes/mine.toml                 what all rules so far reach
"""
EXPORT_EXAMPLES = """\
examples:
  orfevre export work/quickstart out/shards --to megatron
"""


def add(verbs: Verbs) -> None:
    _add_trace(verbs)
    _add_forget(verbs)
    _add_export(verbs)


def _trace(options: argparse.Namespace) -> int:
    from orfevre.provenance import runs, trace

    trace.trace(runs.find(options.run), options.what, options.json)
    return 0


def _forget(options: argparse.Namespace) -> int:
    import datetime

    from orfevre.data import forgotten
    from orfevre.provenance import forget, runs

    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    kinds: tuple[forgotten.Kind, ...] = ("url", "domain", "id")
    rules = [
        forgotten.rule(kind, value, date, options.reason) for kind in kinds for value in getattr(options, kind)
    ]  # fmt: skip
    forget.forget(runs.find(options.run), rules, options.json)
    return 0


def _export(options: argparse.Namespace) -> int:
    from orfevre import artifact, console
    from orfevre.data import megatron
    from orfevre.provenance import runs

    tokenized = runs.find(options.run).folder / "tokenize"
    artifact.require(tokenized)
    for name, tokens in megatron.export(tokenized, Path(options.target)).items():
        console.result(f"{options.target}/{name}: {tokens} tokens")
    return 0


def _add_trace(verbs: Verbs) -> None:
    trace = verbs.add_parser(
        "trace",
        epilog=TRACE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="where a document or a passage comes from, and what was done to it",
        description="Where a document or a passage comes from: source, URL, licence, dates, digests, edits, the reason "
        "it was dropped for, its duplicates, its place in the token shards, how often training read it, the release.",
    )
    trace.add_argument("run", metavar="RUN", help=RUN_HELP)
    trace.add_argument("what", metavar="ID|PASSAGE", help="a document's id (16 hex digits), or some of its words")
    trace.add_argument("--json", action="store_true", help="everything as one JSON object")
    trace.set_defaults(function=_trace)


def _add_forget(verbs: Verbs) -> None:
    forget = verbs.add_parser(
        "forget",
        epilog=FORGET_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="leave documents out of the next run, and list what must be rebuilt",
        description="Add rules to the run's forgotten.jsonl: the next curate drops what they match, and keeps no copy "
        "of its text. Lists the documents of now that they reach, and the shards, checkpoints and releases made "
        "from them. Without a rule, what all rules so far reach.",
    )
    forget.add_argument("run", metavar="RUN", help=RUN_HELP)
    for kind, what in (
        ("url", "a page, exactly (scheme and host in any case; fragments do not count)"),
        ("domain", "a host and every host below it"),
        ("id", "a document, by its id"),
    ):
        forget.add_argument(
            f"--{kind}", action="append", default=[], metavar=kind.upper(), help=f"{what}; may be given many times"
        )
    forget.add_argument("--reason", default="", metavar="TEXT", help="kept with the rules")
    forget.add_argument("--json", action="store_true", help="everything as one JSON object")
    forget.set_defaults(function=_forget)


def _add_export(verbs: Verbs) -> None:
    export = verbs.add_parser(
        "export",
        epilog=EXPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="token shards for another trainer: Megatron-LM's .bin and .idx",
        description="Write a run's token shards, train and validation of each source, in the layout that Megatron-LM "
        "and its kin read, with the tokenizer.json beside them: whole, or not at all.",
    )
    export.add_argument("run", metavar="RUN", help=RUN_HELP)
    export.add_argument("target", metavar="DST", help="the folder to write; must not exist")
    export.add_argument("--to", required=True, choices=("megatron",), help="layout to write")
    export.set_defaults(function=_export)
