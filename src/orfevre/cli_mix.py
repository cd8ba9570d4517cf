"""The verbs for teams that train elsewhere: fit and design. The same rules as in cli.py."""

import argparse
from pathlib import Path
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

FIT_EXAMPLES = """\
RUNS.csv has a row a run: weight.<source> (shares), loss.<target>, and if you like run, num_params, num_tokens.

examples:
  orfevre fit runs.csv                                              how well unseen runs are told
  orfevre fit runs.csv --predict candidates.csv --out predicted.csv
  orfevre fit runs.csv --predict candidates.csv --out predicted.csv --num-params 1e9 --num-tokens 25e9
  orfevre fit runs.csv --optimise objective.toml --out best.json
  orfevre fit runs.csv --optimise objective.toml --out best.json --num-params 1e9 --num-tokens 25e9
"""
DESIGN_EXAMPLES = """\
examples:
  orfevre design --sources web,code,books --runs 32 --out design.csv
  orfevre design --sources web,code,books --natural web=0.8,code=0.15,books=0.05 --runs 32 --out design.csv
  orfevre design --after runs.csv --runs 8 --out next.csv           where the loss may be least, given measured runs
  orfevre design --after runs.csv --optimise objective.toml --runs 8 --out next.csv
  orfevre design --from pool.csv --runs 16 --out design.csv
  orfevre design --from pool.csv --after runs.csv --runs 8 --out next.csv
"""


def add(verbs: Verbs) -> None:
    _add_fit(verbs)
    _add_design(verbs)


def _fit(options: argparse.Namespace) -> int:
    from orfevre.errors import InputError
    from orfevre.mix import elsewhere

    if (options.num_params is None) != (options.num_tokens is None):
        raise InputError("--num-params and --num-tokens go together")
    scale = None if options.num_params is None else (options.num_params, options.num_tokens)
    if options.optimise is not None:
        if options.predict is not None:
            raise InputError("--optimise finds a mixture, --predict tells given ones: --out has room for one of them")
        elsewhere.optimise(Path(options.runs), Path(options.optimise), _path(options.out), scale)
        return 0
    elsewhere.fit(Path(options.runs), _path(options.predict), _path(options.out), scale)
    return 0


def _design(options: argparse.Namespace) -> int:
    from orfevre.errors import InputError
    from orfevre.mix import propose

    out, after, objective = Path(options.out), _path(options.after), _path(options.optimise)
    if options.sources is not None and (options.pool or after):
        raise InputError("--sources draws a first design, and goes without --from and --after, which name sources too")
    if objective is not None and after is None:
        raise InputError("--optimise says what the next runs are for, after those of --after RUNS.csv; give that too")
    if options.pool is not None:
        propose.choose(Path(options.pool), options.num_runs, out, after, objective, options.seed)
    elif after is not None:
        propose.follow(after, options.num_runs, out, objective, options.seed)
    elif options.sources is not None:
        sources = [name.strip() for name in options.sources.split(",") if name.strip()]
        propose.propose(sources, _shares(options.natural), options.num_runs, out, options.seed)
    else:
        raise InputError(
            "give either --sources, to draw mixtures, --after RUNS.csv, to go on from runs that are measured, or "
            "--from POOL.csv, to choose among given ones"
        )
    return 0


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)


def _shares(text: str) -> dict[str, float]:
    """`a=0.2,b=0.8`. Raises InputError for a part that is none."""
    from orfevre.errors import InputError

    found = {}
    for part in (part for part in text.split(",") if part.strip()):
        name, _, share = part.partition("=")
        try:
            found[name.strip()] = float(share)
        except ValueError:
            raise InputError(f"--natural {text}: {part!r} is not SOURCE=SHARE") from None
    return found


def _add_fit(verbs: Verbs) -> None:
    fit = verbs.add_parser(
        "fit",
        epilog=FIT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="losses of mixtures you have not run, told from runs of your own, with 90 %% intervals",
        description="Fit orfevre's surrogate to runs trained anywhere, say how well it tells runs it has not seen, and "
        "predict other mixtures with 90 % intervals.",
    )
    fit.add_argument("runs", metavar="RUNS.csv", help="measured runs")
    fit.add_argument("--predict", metavar="CANDIDATES.csv", help="mixtures to ask about: weight.<source> columns")
    fit.add_argument("--optimise", metavar="OBJECTIVE.toml", help="find the best mixture for this target and limits")
    fit.add_argument(
        "--out",
        metavar="FILE",
        help="the candidates with pred., lo. and hi. of every target, or the best mixture as JSON",
    )
    fit.add_argument(
        "--num-params", type=float, metavar="N", help="tell losses of this scale, of which RUNS.csv has runs"
    )
    fit.add_argument("--num-tokens", type=float, metavar="N", help="training tokens of that scale")
    fit.set_defaults(function=_fit)


def _add_design(verbs: Verbs) -> None:
    design = verbs.add_parser(
        "design",
        epilog=DESIGN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="which mixtures to run next, as a CSV file",
        description="Mixtures far from each other, the natural and the uniform one among them, with repeats that "
        "measure the noise; after measured runs, those that are expected to lower the loss most; or some of a pool.",
    )
    design.add_argument("--sources", metavar="A,B,...", help="names of the sources to mix")
    design.add_argument("--natural", default="", metavar="A=0.8,B=0.2", help="shares of the sources' own sizes")
    design.add_argument("--from", dest="pool", metavar="POOL.csv", help="choose among these mixtures instead")
    design.add_argument(
        "--after",
        metavar="RUNS.csv",
        help="go on from these runs: by expected improvement; with --from and without loss columns, far from them",
    )
    design.add_argument("--optimise", metavar="OBJECTIVE.toml", help="with --after: the target and the limits to keep")
    design.add_argument("--runs", dest="num_runs", type=_count, default=32, metavar="N", help="how many (32)")
    design.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other mixtures (1)")
    design.add_argument("--out", required=True, metavar="DESIGN.csv", help="where they go")
    design.set_defaults(function=_design)


def _count(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("at least 2")
    return number
