"""Near-duplicate removal by orfevre's functions and by its peers: JSON lines in, Parquet out, each in its own idiom.

Every function takes JSONL files of `{"id", "text"}` and an empty folder, and leaves Parquet files without the documents
it takes for near-duplicates. All shingle five words of lower-cased text without punctuation, as far as they can.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orfevre.curate import dedup, signs
from orfevre.curate.catalogue import Part
from orfevre.curate.choose import KEPT
from orfevre.kernels import minhash
from orfevre.recipe import Dedup, Runner

RULES = Dedup()
WORD = re.compile(r"[^\W_]+")
NUM_PERMUTATIONS, NUM_BANDS = 128, 32
"""What the peers that leave it to their user get: 32 bands of 4."""

Remover = Callable[[Sequence[Path], Path], None]


def orfevre(files: Sequence[Path], out: Path) -> None:
    """The stage's functions around deduplication: read, sign, leave a part; decide; write what stays."""
    parts = [Part(_sign(path, out / f"part-{number:06d}.arrow"), 0) for number, path in enumerate(files)]
    catalogue, verdicts = dedup.decide(parts, RULES, out / "dedup", Runner(kind="inline"))
    gone = verdicts.place[verdicts.status != KEPT]
    for number, part in enumerate(parts):
        start, end = catalogue.starts[number : number + 2].tolist()
        low, high = np.searchsorted(gone, (start, end))
        _write_rest(part.path, gone[low:high] - start, out / f"{number:06d}.parquet")


def _sign(path: Path, part: Path) -> Path:
    import pyarrow as pa
    import pyarrow.json as pj

    read = pj.ReadOptions(use_threads=False, block_size=64 * 2**20)
    table = pj.read_json(path, read).combine_chunks()
    text = table.column("text").chunk(0)
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(text) + 1].astype(np.int64)
    values = np.frombuffer(data, np.uint8)
    view = memoryview(values)
    bounds = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    digests = b"".join(hashlib.sha256(view[start:end]).digest() for start, end in bounds)
    index = np.zeros(len(text), signs.INDEX)
    index["high"], index["low"], index["id"], _ = np.frombuffer(digests, ">u8").reshape(-1, 4).T
    index["num_bytes"], index["quality"] = np.diff(ends), -1.0
    table = table.append_column("reason", pa.nulls(len(text), pa.string()))
    with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=256)
    signs.save(part, index, *minhash.signatures_at(values, ends, signs.width_of(RULES)), RULES)
    return part


def _write_rest(part: Path, gone: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.memory_map(str(part)) as file:
        table = pa.ipc.open_file(file).read_all()
        stays = np.ones(len(table), bool)
        stays[gone] = False
        rest = table.filter(pa.array(stays)).drop_columns("reason")
        pq.write_table(rest, path, compression="zstd", use_dictionary=False, write_statistics=False)


def datatrove(files: Sequence[Path], out: Path, *, split_words: bool = False) -> None:
    """Its four steps as its documentation chains them; `split_words` puts str.split in place of spaCy."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.text import TextNormConfig
    from loguru import logger

    logger.remove()
    config = MinhashConfig()
    if split_words:  # numbers and accents stay, as in orfevre; it has less to do so
        config.norm_config = TextNormConfig(norm_numbers=False, norm_unicode_diacritics=False)
    signature = MinhashDedupSignature(output_folder=f"{out}/signatures", config=config)
    if split_words:
        signature.word_tokenizer = _SplitWords()
    folder, pattern = str(files[0].parent), [path.name for path in files]
    read = JsonlReader(folder, glob_pattern="*.jsonl", text_key="text", id_key="id")
    assert sorted(path.name for path in files[0].parent.glob("*.jsonl")) == sorted(pattern)
    buckets = MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)
    cluster = MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)
    rest = [read, MinhashDedupFilter(f"{out}/remove"), ParquetWriter(f"{out}/rest", compression="zstd")]
    for number, (steps, tasks) in enumerate(
        [([read, signature], 1), ([buckets], config.num_buckets), ([cluster], 1), (rest, 1)]
    ):
        for rank in range(tasks):
            executor = LocalPipelineExecutor(steps, tasks=tasks, logging_dir=f"{out}/logs{number}")
            _run_in_process(executor, rank)


def _run_in_process(executor: Any, rank: int) -> None:
    """Without its processes: starting them would count against it."""
    world = executor.world_size
    data: Any = None
    for step in executor.pipeline:
        data = step(data, rank, world)
    for _ in data or ():
        pass


class _SplitWords:
    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


def daft(files: Sequence[Path], out: Path) -> None:
    """Normalise, MinHash, explode bands, group: of those that share a band the first id stays (no similarity check)."""
    import daft as df
    from daft import col
    from daft.functions import minhash as sign
    from daft.functions import normalize

    rows = NUM_PERMUTATIONS // NUM_BANDS
    table = df.read_json([str(path) for path in files])
    text = normalize(col("text"), remove_punct=True, lowercase=True, white_space=True)
    signed = table.select(col("id"), sign(text, num_hashes=NUM_PERMUTATIONS, ngram_size=5).alias("values")).collect()
    arrow = signed.to_arrow()
    values = np.asarray(arrow.column("values").combine_chunks().flatten()).reshape(len(arrow), NUM_BANDS, rows)
    ids = arrow.column("id").to_pylist()
    gone = _gone_by_band(ids, values)
    removed = df.from_pydict({"id": sorted(gone) or [""]})
    table.join(removed, on="id", how="anti").write_parquet(str(out / "rest"), compression="zstd")


def _gone_by_band(ids: Sequence[str], values: Any) -> set[str]:
    """Union over bands by NumPy: cheaper than Daft's group-by of exploded bands, so Daft's figure is flattered."""
    from orfevre.curate.choose import components

    left, right = [], []
    for band in range(values.shape[1]):
        keys = np.ascontiguousarray(values[:, band]).view(np.dtype((np.void, values.shape[2] * 4)))[:, 0]
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        left.append(first[which]), right.append(np.arange(len(ids)))
    roots = components(len(ids), np.concatenate(left), np.concatenate(right))
    return {ids[row] for row in np.flatnonzero(roots != np.arange(len(ids)))}


def rensa(files: Sequence[Path], out: Path) -> None:
    """Sets of joined words, its index, and its similarity at the threshold against those that stayed."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=RULES.jaccard, num_perm=NUM_PERMUTATIONS, num_bands=NUM_BANDS)
    kept: list[dict[str, Any]] = []
    signed: list[Any] = []
    for row in _rows(files):
        own = RMinHash(num_perm=NUM_PERMUTATIONS, seed=1)
        own.update(_shingles(row["text"]))
        if not any(own.jaccard(signed[other]) >= RULES.jaccard for other in index.query(own)):
            index.insert(len(kept), own)
            kept.append(row), signed.append(own)
    _write(kept, out)


def datasketch(files: Sequence[Path], out: Path) -> None:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=(NUM_BANDS, NUM_PERMUTATIONS // NUM_BANDS))
    kept: list[dict[str, Any]] = []
    signed: list[Any] = []
    for row in _rows(files):
        own = MinHash(num_perm=NUM_PERMUTATIONS)
        own.update_batch([shingle.encode() for shingle in _shingles(row["text"])])
        if not any(own.jaccard(signed[other]) >= RULES.jaccard for other in index.query(own)):
            index.insert(len(kept), own, check_duplication=False)
            kept.append(row), signed.append(own)
    _write(kept, out)


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _shingles(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return [" ".join(words[start : start + 5]) for start in range(max(1, len(words) - 4))]


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), out / "rest.parquet", compression="zstd")
    logging.debug("%d rows", len(rows))
