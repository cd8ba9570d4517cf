"""llama.cpp in a process of its own, for benchmarks/decode.py: `python llama_child.py MODEL.gguf THREADS`.

A line of JSON on stdin, {"prompt": tokens} or {"batch": sequences, "steps": n}, is answered by a line on stdout: a list
of seconds, of the whole prompt or of each step. Needs llama-cpp-python, nothing of orfevre.
"""

import ctypes
import json
import os
import sys
import time
from typing import Any

PAST, SLOTS, CONTEXT = 64, 8, 2048


def fill(batch: Any, tokens: list[tuple[int, int, int]], wanted: int) -> None:
    """Tokens are (id, position, sequence); the last `wanted` get logits."""
    batch.n_tokens = len(tokens)
    for place, (token, position, sequence) in enumerate(tokens):
        batch.token[place], batch.pos[place] = token, position
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        batch.logits[place] = int(place >= len(tokens) - wanted)


def main() -> None:
    import llama_cpp as llama

    path, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the library prints is no answer
    silent = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = CONTEXT, 512, 512, SLOTS
    settings.n_threads = settings.n_threads_batch = threads
    settings.kv_unified = True
    context = llama.llama_init_from_model(model, settings)
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    memory, batch = llama.llama_get_memory(context), llama.llama_batch_init(512, 0, SLOTS)

    def run(tokens: list[tuple[int, int, int]], wanted: int) -> float:
        fill(batch, tokens, wanted)
        started = time.perf_counter()
        code = llama.llama_decode(context, batch)
        llama.llama_get_logits(context)[0]
        if code:
            raise RuntimeError(f"llama_decode gave {code}")
        return time.perf_counter() - started

    for line in sys.stdin:
        asked = json.loads(line)
        llama.llama_memory_clear(memory, True)
        if "prompt" in asked:
            seconds = [run([(i * 7919 % vocabulary, i, 0) for i in range(asked["prompt"])], 1)]
        else:
            size = asked["batch"]
            for sequence in range(size):
                run([((i + sequence) * 7919 % vocabulary, i, sequence) for i in range(PAST)], 1)
            seconds = [
                run([((n * size + s) * 104729 % vocabulary, PAST + n, s) for s in range(size)], size)
                for n in range(asked["steps"])
            ]
        print(json.dumps(seconds), file=answers, flush=True)


if __name__ == "__main__":
    main()
