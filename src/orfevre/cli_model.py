"""The verbs that take one model, wherever it lies: generate, chat, inspect, convert. The same rules as in cli.py."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from orfevre.inference.sampling import Sampling
    from orfevre.serve.speaker import Asked

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

RUN_HELP = "a recipe, a run's folder, or a release, Hugging Face or Mistral folder"


GENERATE_EXAMPLES = """\
examples:
  orfevre generate work/quickstart "def read("
  orfevre generate work/quickstart "The library" --temperature 0 --stop "."
  orfevre generate MIXTRAL_FOLDER --file prompts.txt --json --weights int8
  orfevre generate MIXTRAL_FOLDER "Once" --offload 8      a model larger than memory
"""
CHAT_EXAMPLES = """\
examples:
  orfevre chat work/quickstart
  orfevre chat MIXTRAL_FOLDER --system "Answer in one sentence." --weights int4
"""
INSPECT_EXAMPLES = """\
examples:
  orfevre inspect work/quickstart                           parameters, and what experts specialise in
  orfevre inspect work/quickstart --text README.md --html inside.html
  orfevre inspect --diff work/quickstart A_RELEASE --json changes.json
"""
CONVERT_EXAMPLES = """\
examples:
  orfevre convert work/quickstart out/quickstart.gguf --to gguf --dtype q8_0
  orfevre convert MISTRAL_FOLDER out/mixtral --to hf
"""


def add(verbs: Verbs) -> None:
    _add_generate(verbs)
    _add_chat(verbs)
    _add_inspect(verbs)
    _add_convert(verbs)


def _generate(options: argparse.Namespace) -> int:
    from orfevre.serve import generate, prompts

    texts = prompts.given(options.prompt, options.file)
    sampling, asked = _sampling(options), _asked(options)
    generate.generate(Path(options.run), texts, sampling, asked, as_json=options.json, slots=options.slots)
    return 0


def _chat(options: argparse.Namespace) -> int:
    from orfevre.serve import chat

    chat.chat(Path(options.run), _sampling(options), _asked(options), options.system)
    return 0


def _sampling(options: argparse.Namespace) -> "Sampling":
    from orfevre.inference.sampling import Sampling

    return Sampling(
        tokens=options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        seed=options.seed,
        stop=tuple(options.stop),
    )


def _asked(options: argparse.Namespace) -> "Asked":
    from orfevre.serve.speaker import Asked

    return Asked(weights=options.weights, threads=options.threads, offload_gib=options.offload)


def _inspect(options: argparse.Namespace) -> int:
    from orfevre.errors import UserError

    if (options.run is None) == (options.diff is None):
        raise UserError("inspect looks at one RUN, or at what changed from A to B: give RUN, or --diff A B")
    return _look(options) if options.diff is None else _compare(options)


def _look(options: argparse.Namespace) -> int:
    from orfevre.inspect import look

    table = look.look(Path(options.run), options.text)
    if options.json:
        look.save(table, Path(options.json))
    if options.html:
        from orfevre.report import inspection

        inspection.write(table, Path(options.html))
    look.tell(table)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from orfevre.inspect import difference, look

    first, second = options.diff
    table = difference.compare(Path(first), Path(second), options.text)
    if options.json:
        look.save(table, Path(options.json))
    if options.html:
        from orfevre.report import comparison

        comparison.write(table, Path(options.html))
    difference.tell(table)
    return 0


def _convert(options: argparse.Namespace) -> int:
    from orfevre.weights import convert

    convert.convert(Path(options.source), Path(options.target), options.to, options.dtype)
    return 0


def _add_generate(verbs: Verbs) -> None:
    generate = verbs.add_parser(
        "generate",
        epilog=GENERATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="continue a prompt, or many, with a trained model",
        description="Continue a text. Texts go to stdout, how fast it went to stderr. The same seed gives the same "
        "text, whatever prompts are continued beside it.",
    )
    generate.add_argument("run", metavar="RUN", help=RUN_HELP)
    generate.add_argument("prompt", metavar="PROMPT", nargs="?", help="the text to continue")
    generate.add_argument(
        "--file",
        metavar="FILE",
        help='continue each prompt of a file, one a line (of a .jsonl file, {"prompt": ...} a line); - reads stdin',
    )
    generate.add_argument(
        "--json", action="store_true", help="a JSON object a line: prompt, text, ended_by and counts of tokens"
    )
    generate.add_argument(
        "--slots", type=int, default=8, metavar="N", help="prompts of a file continued at once (default 8)"
    )
    _add_sampling(generate, tokens=100)
    _add_holding(generate)
    generate.set_defaults(function=_generate)


def _add_chat(verbs: Verbs) -> None:
    chat = verbs.add_parser(
        "chat",
        epilog=CHAT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="talk with a model",
        description="Talk with a model, a line a message, in its own chat format if its folder has one. Answers go "
        "to stdout. /help lists the commands; Ctrl-C stops an answer, end of input the chat.",
    )
    chat.add_argument("run", metavar="RUN", help=RUN_HELP)
    chat.add_argument("--system", default="", metavar="TEXT", help="what the model is told before the first message")
    _add_sampling(chat, tokens=512)
    _add_holding(chat)
    chat.set_defaults(function=_chat)


def _add_sampling(parser: argparse.ArgumentParser, tokens: int) -> None:
    def number(flag: str, kind: Any, default: float, words: str) -> None:
        parser.add_argument(flag, type=kind, default=default, metavar="X", help=f"{words} (default {default:g})")

    number("--tokens", int, tokens, "most tokens to write")
    number("--temperature", float, 0.8, "0 takes the likeliest token, 1 draws as the model was trained")
    number("--top-k", int, 0, "draw among the k likeliest; 0 for all")
    number("--top-p", float, 1.0, "draw among the fewest likeliest that make up this probability")
    number("--min-p", float, 0.0, "draw among those at least so probable as a share of the likeliest")
    number("--repetition-penalty", float, 1.0, "above 1 makes tokens that are there already less likely")
    number("--seed", int, 1, "same seed, same text; prompt n of a file draws with seed + n")
    parser.add_argument(
        "--stop",
        metavar="TEXT",
        action="append",
        default=[],
        help="end before this text; may be given many times",
    )


def _add_holding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="FORMAT",
        help="hold weights as float32, bfloat16, int8 or int4 (default: as stored; float16 as bfloat16)",
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the CPU (default: all)")
    parser.add_argument(
        "--offload",
        type=float,
        metavar="GIB",
        help="leave experts in the files and keep so many GiB of them in memory, for a model larger than memory",
    )


def _add_inspect(verbs: Verbs) -> None:
    inspect = verbs.add_parser(
        "inspect",
        epilog=INSPECT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="look inside a model: parameters, which experts a text's tokens go to, what experts specialise in",
        description="Look inside a model: its configuration and parameters, where each token of a text goes, what the "
        "experts specialise in; or compare two models. Nothing is changed.",
    )
    inspect.add_argument(
        "run", metavar="RUN", nargs="?", help="a recipe, a run's folder, or a release, Hugging Face or Mistral folder"
    )
    inspect.add_argument("--text", metavar="FILE", help="follow this text through the model; - reads stdin")
    inspect.add_argument("--json", metavar="FILE", help="write everything as JSON")
    inspect.add_argument("--html", metavar="FILE", help="write a page that opens without a network")
    inspect.add_argument("--diff", nargs=2, metavar=("A", "B"), help="what changed from one model to another")
    inspect.set_defaults(function=_inspect)


def _add_convert(verbs: Verbs) -> None:
    convert = verbs.add_parser(
        "convert",
        epilog=CONVERT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="a model to Hugging Face's, Mistral's or llama.cpp's format",
        description="Write a model in another format, in bounded memory: whole, or not at all. Pickles are refused.",
    )
    convert.add_argument("source", metavar="SRC", help="a recipe, a run's folder, a Hugging Face or Mistral folder")
    convert.add_argument("target", metavar="DST", help="the folder to write, or a .gguf file; must not exist")
    convert.add_argument("--to", required=True, choices=("hf", "mistral", "gguf"), help="format to write")
    dtypes = ("float32", "bfloat16", "float16", "q8_0")
    convert.add_argument("--dtype", choices=dtypes, help="of the weights (default: as stored); q8_0 with gguf only")
    convert.set_defaults(function=_convert)
