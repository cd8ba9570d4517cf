"""Token shards in the layout that Megatron-LM and its kin map from disk: `<source>-<split>.bin` and `.idx`.

The .bin is ours, byte for byte. The .idx (class IndexedDataset, version 1), little-endian: `MMIDIDX\\0\\0`, uint64
version, uint8 code of the type, uint64 sequences, uint64 entries of the last array; then int32 lengths of the
sequences, int64 where each begins in the .bin in bytes, int64 the sequence that each document begins with, and their
count. Here a document is one sequence.
"""

import shutil
import struct
from pathlib import Path

import numpy as np

from orfevre.data import shards
from orfevre.data.shards import SPLITS, Shard
from orfevre.errors import InputError

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
CODES = {"uint16": 8, "uint32": 4}
"""uint16 has a code; of 32 bits only int32 has one, which has the same bytes for ids below 2**31."""

LONGEST = 2**31 - 1
"""Tokens of a sequence."""


def export(tokenized: Path, target: Path) -> dict[str, int]:
    """Every shard that holds a document, and tokenizer.json, to a new folder, whole or not at all. Its tokens by name.

    Raises InputError for shards that are not there or damaged, or a folder that is.
    """
    if target.exists():
        raise InputError(f"{target}: is there already; name a folder that is not, nothing is written over")
    index = shards.read_index(tokenized)
    aside = target.with_name(f".{target.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    written = {}
    for source in index.sources:
        for split in SPLITS:
            shard = shards.open_shard(tokenized, source, split)
            if shard.num_documents:
                name = f"{source}-{split}"
                shutil.copyfile(tokenized / "shards" / source / f"{split}.bin", aside / f"{name}.bin")
                write_index(aside / f"{name}.idx", shard, index.dtype)
                written[name] = len(shard.tokens)
    shutil.copyfile(tokenized / "tokenizer.json", aside / "tokenizer.json")
    aside.rename(target)
    return written


def write_index(path: Path, shard: Shard, dtype: str) -> None:
    """The .idx of one shard. Raises InputError for a document longer than the layout can say."""
    lengths = np.diff(shard.documents)
    if len(lengths) and lengths.max() > LONGEST:
        longest = int(np.argmax(lengths))
        raise InputError(
            f"document {shard.ids[longest]} of {shard.source} has {lengths[longest]} tokens and Megatron's layout "
            f"holds {LONGEST} at most; cut it in its source, or forget it: orfevre forget RUN --id {shard.ids[longest]}"
        )
    count = shard.num_documents
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<QBQQ", VERSION, CODES[dtype], count, count + 1))
        file.write(lengths.astype("<i4").tobytes())
        file.write((shard.documents[:-1] * np.dtype(dtype).itemsize).astype("<i8").tobytes())
        file.write(np.arange(count + 1, dtype="<i8").tobytes())
