"""`orfevre chat`: a conversation at the terminal, or over a pipe, a line a message.

Answers go to stdout as they come; all else goes to stderr.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from orfevre import artifact, console
from orfevre.errors import InputError
from orfevre.inference.sampling import Sampling

from . import template
from .conversation import Conversation
from .speaker import Asked, open_decoder, open_model

HELP = """\
/reset       forget the conversation, the system message aside
/save FILE   write the conversation as JSON: a list of {"role", "content"}
/help        this
/quit        leave; so does the end of input
Ctrl-C stops an answer."""

SLOTS = 2
"""One for the conversation, one for what it was before it was reset or shortened."""


def chat(run: Path, sampling: Sampling, asked: Asked, system: str = "") -> None:
    """Talk until the end of input. Raises UserError for a folder that holds no model."""
    opened, coder = open_model(run)
    form = template.load(coder.path.parent, coder)
    conversation = Conversation(open_decoder(opened, asked, SLOTS), coder, form, sampling, system)
    if isinstance(form, template.PlainTemplate):
        console.say(f"{opened.path} has no chat template: messages are written as User: and Assistant:")
    console.say("a line a message; /help lists what else there is")
    while (line := _read()) is not None:
        if not line.startswith("/"):
            if line.strip():
                _turn(conversation, line)
        elif not _command(conversation, line):
            return


def _read() -> str | None:
    """The next line of stdin; None at its end."""
    try:
        return input("> " if sys.stdin.isatty() and sys.stdout.isatty() else "")
    except EOFError:
        return None


def _turn(conversation: Conversation, message: str) -> None:
    started, pieces = time.monotonic(), conversation.ask(message)
    try:
        for piece in pieces:
            console.stream(piece)
    except KeyboardInterrupt:
        pieces.close()  # type: ignore[attr-defined]
    except InputError as mistake:
        console.error(str(mistake))
        return
    console.stream("\n")
    if (ending := conversation.ending) is None:
        return
    seconds, number = time.monotonic() - started, len(ending.ids)
    console.say(
        f"[{number} tokens, {number / max(seconds, 1e-9):.1f} tokens/s, ended by {ending.reason}; "
        f"{ending.prompt_tokens - ending.reused_tokens} of {ending.prompt_tokens} tokens of the prompt were new]"
    )


def _command(conversation: Conversation, line: str) -> bool:
    """Whether to go on."""
    word, _, rest = line.partition(" ")
    commands: dict[str, Callable[[], None]] = {
        "/reset": lambda: _reset(conversation),
        "/save": lambda: _save(conversation, rest.strip()),
        "/help": lambda: console.say(HELP),
    }
    if word in ("/quit", "/exit"):
        return False
    commands.get(word, lambda: console.error(f"{word}: no such command; /help lists them"))()
    return True


def _reset(conversation: Conversation) -> None:
    conversation.reset()
    console.say("forgotten")


def _save(conversation: Conversation, name: str) -> None:
    import json

    if not name:
        console.error("/save: give a file, such as /save talk.json")
        return
    try:
        artifact.write_text(Path(name), json.dumps(conversation.messages, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        console.error(f"{name}: cannot be written ({error.strerror}); give another file")
        return
    console.say(f"written to {name}")
