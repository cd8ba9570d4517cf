"""How good the trained model is: bits per byte of held-out text with intervals, expert load, samples.

Reads: tokenize/ (validation shards, tokenizer.json), train/ (the last checkpoint).
Writes: scores.json.
Resumes: sources that an earlier attempt scored are kept.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orfevre import artifact, console
from orfevre.data import shards, tokenizer
from orfevre.engine import checkpoint, specialisation
from orfevre.errors import InputError, RecipeError
from orfevre.evaluate import bootstrap, scoring
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.generate import generate
from orfevre.inference.sampling import Sampling
from orfevre.ledger import Tally
from orfevre.model import count
from orfevre.model.transformer import Transformer
from orfevre.recipe import Evaluate, Recipe

PARTS = ".scores"

FEW_DOCUMENTS = 10
"""Below this an interval from resampled documents says little, and a note says so."""


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Raises InputError for a target source without held-out text, RecipeError for a prompt that is too long."""
    tokenized = inputs["tokenize"]
    index = shards.read_index(tokenized)
    held_out = {name: shards.open_shard(tokenized, name, "validation") for name in index.sources}
    held_out = {name: shard for name, shard in held_out.items() if shard.num_documents}
    _check_target(recipe.target, held_out, tokenized)
    model = checkpoint.load_trained(inputs["train"])
    made = tokenizer.load(tokenized / "tokenizer.json")
    prompts = _encode_prompts(recipe.evaluate, made, model)
    scores = _score_all(recipe, model, held_out, out)
    table = summarise(recipe, scores)
    table["samples"] = _samples(recipe, model, prompts, made)
    _write(out / "scores.json", table)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    _show(table)
    return _tally(model, scores, set(index.sources) - set(held_out))


def summarise(recipe: Recipe, scores: Mapping[str, scoring.SourceScore]) -> dict[str, Any]:
    """scores.json without its samples. Sources are resampled independently; the target's interval is of their sum."""
    config = recipe.evaluate
    means: dict[str, float] = {}
    draws: dict[str, bootstrap.Floats] = {}
    sources: dict[str, dict[str, Any]] = {}
    for number, (name, scored) in enumerate(scores.items()):
        generator = np.random.default_rng([recipe.seed, number])
        draws[name] = bootstrap.resampled(scored.nats, scored.num_bytes, config.bootstrap_samples, generator)
        means[name] = bootstrap.bits_per_byte(scored.nats, scored.num_bytes)
        sources[name] = {
            "bits_per_byte": means[name],
            "interval": bootstrap.interval(draws[name], config.confidence, len(scored.nats) - 1),
            "documents": len(scored.nats),
            "bytes": sum(scored.num_bytes),
            "tokens": scored.tokens,
        }
    target = {name: weight for name, weight in recipe.target.items() if weight > 0}
    parts = [weight * draws[name] for name, weight in target.items()]
    freedom = bootstrap.combined_freedom(
        [float(np.var(part)) for part in parts], [len(scores[name].nats) - 1 for name in target]
    )
    return {
        "confidence": config.confidence,
        "sources": sources,
        "target": {
            "bits_per_byte": sum(weight * means[name] for name, weight in target.items()),
            "interval": bootstrap.interval(np.sum(parts, axis=0), config.confidence, freedom),
        },
        "expert_load": {name: scored.expert_load for name, scored in scores.items()},
        "specialisation": specialisation.summarise(
            {name: scored.document_experts for name, scored in scores.items()}, recipe.seed
        ),
    }


def _check_target(target: Mapping[str, float], held_out: Mapping[str, shards.Shard], folder: Path) -> None:
    for name, weight in target.items():
        if weight > 0 and name not in held_out:
            raise InputError(
                f"{folder}: source {name} has no held-out document, but mix.target.{name} = {weight:g}; give it more "
                "documents, raise curate.validation_fraction, or set its target to 0"
            )


def _score_all(
    recipe: Recipe, model: Transformer, held_out: Mapping[str, shards.Shard], out: Path
) -> dict[str, scoring.SourceScore]:
    length, most = recipe.train.sequence_length, recipe.evaluate.documents_per_source
    chosen = {name: scoring.choose(shard, most) for name, shard in held_out.items()}
    sizes = {name: scoring.num_predicted(held_out[name], documents) for name, documents in chosen.items()}
    scores = {}
    with console.progress("evaluating", sum(sizes.values()), "token") as bar:
        for name, documents in chosen.items():
            bar.show(name)
            path = out / PARTS / f"{name}.json"
            if (kept := scoring.restore(path)) is not None:
                scores[name] = kept
                bar.skip(sizes[name])
                continue
            scores[name] = scoring.score_source(model, held_out[name], documents, length)
            scoring.save(path, scores[name])
            bar.advance(sizes[name])
    return scores


def _encode_prompts(config: Evaluate, made: tokenizer.Tokenizer, model: Transformer) -> list[list[int]]:
    """`<s>` and the ids of each prompt; checked before the long work rather than after it."""
    context = model.config.context_length
    prompts = [[made.bos, *made.encode(prompt)] for prompt in config.prompts]
    for number, (prompt, ids) in enumerate(zip(config.prompts, prompts, strict=True)):
        if len(ids) >= context:
            raise RecipeError(
                f"evaluate.prompts[{number}] = {prompt[:40]!r}...: {len(ids)} tokens with <s>, and the model's "
                f"context_length is {context}; shorten it to {context - 2} tokens"
            )
    return prompts


def _samples(
    recipe: Recipe, model: Transformer, prompts: Sequence[list[int]], made: tokenizer.Tokenizer
) -> list[dict[str, str]]:
    """What the model writes after each prompt, the prompt left out."""
    config, samples, decoder = recipe.evaluate, [], TorchDecoder(model)
    for number, (prompt, ids) in enumerate(zip(config.prompts, prompts, strict=True)):
        asked = Sampling(
            tokens=config.sample_tokens, temperature=config.temperature, seed=recipe.seed + number, ends=(made.eos,)
        )
        new = generate(decoder, ids, asked)
        samples.append({"prompt": prompt, "text": made.decode(list(new))})
    return samples


def _write(path: Path, table: Mapping[str, Any]) -> None:
    artifact.write_text(path, json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _show(table: Mapping[str, Any]) -> None:
    rows = [(name, source, str(source["documents"])) for name, source in table["sources"].items()]
    rows.append(("target", table["target"], ""))
    console.table(
        ("source", "bits per byte", f"{100 * table['confidence']:g} % interval", "documents"),
        [
            (name, f"{x['bits_per_byte']:.4f}", f"{x['interval'][0]:.4f} to {x['interval'][1]:.4f}", documents)
            for name, x, documents in rows
        ],
    )


def _tally(model: Transformer, scores: Mapping[str, scoring.SourceScore], empty: set[str]) -> Tally:
    tokens = sum(scored.tokens for scored in scores.values())
    length = model.config.context_length
    tally = Tally(
        counts={"documents": sum(len(scored.nats) for scored in scores.values()), "tokens": tokens},
        flops=tokens * count.forward_flops_per_token(model.config, model.vocab_size, length),
    )
    for name, scored in scores.items():
        if len(scored.nats) < FEW_DOCUMENTS:
            tally.notes[f"few {name}"] = (
                f"source {name} has {len(scored.nats)} held-out documents; its interval says little"
            )
    for name in sorted(empty):
        tally.notes[f"empty {name}"] = f"source {name} has no held-out document and is not scored"
    for note in tally.notes.values():
        console.warn(note)
    return tally
