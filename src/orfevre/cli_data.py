"""The verbs on text that was curated: trace and forget. The same rules as in cli.py."""

import argparse
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


def add(verbs: Verbs) -> None:
    _add_trace(verbs)
    _add_forget(verbs)


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
