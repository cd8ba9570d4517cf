"""From documents to token shards, with a tokenizer trained on an even sample of the sources.

Reads: curate/documents/<source>.parquet (or tokenize.file).
Writes: tokenizer.json, shards/<source>/, fertility.json, index.json.
Resumes: the tokenizer and every part of a source that an earlier attempt finished are kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from orfevre import console, runner
from orfevre.data import shards, tokenizer
from orfevre.errors import InputError
from orfevre.ledger import Tally
from orfevre.recipe import Recipe
from orfevre.tokenize import encode, engine, given, sample

PARTS = ".parts"


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Raises InputError for documents or a tokenizer that cannot be used."""
    curated = inputs["curate"]
    sources = [encode.measure(curated, name) for name in recipe.source_names]
    if not any(source.train_bytes for source in sources):
        raise InputError(
            f"{curated}: no training document in any source; see {curated / 'stats.json'} for what was dropped"
        )
    made = _tokenizer(recipe, curated, sources, out / "tokenizer.json")
    chosen = engine.choose(recipe.tokenize.engine, made, engine.sample(curated, recipe.source_names))
    if not (out / "index.json").exists():
        _shards(recipe, sources, made, chosen.engine, out)
    encode.remove(out / PARTS)
    tally = _tally(recipe, shards.read_index(out))
    tally.notes["engine"] = chosen.words
    return tally


def _tokenizer(recipe: Recipe, curated: Path, sources: Sequence[encode.Source], path: Path) -> tokenizer.Tokenizer:
    if path.exists():  # an earlier attempt made it, for the same recipe and documents
        return tokenizer.load(path)
    if recipe.tokenize.file:
        made = given.load(Path(recipe.tokenize.file))
    else:
        budget = sample.shares({source.name: source.train_bytes for source in sources}, recipe.tokenize.sample_bytes)
        console.say(f"training the tokenizer on {console.quantity(sum(budget.values()), 'B')}")
        made = tokenizer.train(sample.batches(curated, budget), recipe.tokenize.vocab_size)
    made.save(path)
    return made


def _shards(
    recipe: Recipe, sources: Sequence[encode.Source], made: tokenizer.Tokenizer, chosen: str, out: Path
) -> None:
    parts = {source.name: encode.cut(source, out / "tokenizer.json", chosen, out / PARTS) for source in sources}
    pending = [part for of_source in parts.values() for part in of_source if not encode.is_whole(part)]
    pending.sort(key=lambda part: -part.num_bytes)  # the largest first, so that no worker is left with one at the end
    runner.run_all(
        encode.encode,
        pending,
        recipe.runner,
        label="tokenizing",
        sizes=[float(part.num_bytes) for part in pending],
        unit="B",
    )
    index = encode.index_of(made, {})
    joined = {name: encode.join(of_source, out, index) for name, of_source in parts.items()}
    encode.join_fertility(parts, out)
    shards.write_index(out, encode.index_of(made, joined))


def _tally(recipe: Recipe, index: shards.Index) -> Tally:
    splits = [split for source in index.sources.values() for split in (source.train, source.validation)]
    every = shards.totals(splits)
    tally = Tally(counts={"tokens": every.tokens, "documents": every.documents, "vocab_size": index.vocab_size})
    asked = recipe.tokenize.vocab_size
    if recipe.tokenize.file:
        tally.notes["tokenizer"] = f"given as tokenize.file, {index.vocab_size} entries"
    elif index.vocab_size < asked:
        tally.notes["tokenizer"] = (
            f"{index.vocab_size} entries instead of the {asked} of tokenize.vocab_size: the sample holds no more pairs "
            "that occur twice"
        )
        console.warn(f"the tokenizer has {tally.notes['tokenizer']}")
    for name, source in index.sources.items():
        empty = [split for split in shards.SPLITS if getattr(source, split).documents == 0]
        if empty:
            tally.notes[f"empty {name}"] = f"source {name} has no {' and no '.join(empty)} document"
            console.warn(tally.notes[f"empty {name}"])
    return tally
