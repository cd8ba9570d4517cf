"""Reading: orfevre's WARC and JSON lines readers beside their peers, in MB of unpacked input for each CPU second.

WARC: every record of a gzip archive is gone through and the responses' bodies are read, in two depths. `blocks` takes
the record as it stands: ours also checks lengths and where members end, and counts what it skips. `bodies` parses HTTP
and undoes its codings: ours adds a SHA-256 of each record. Peers: FastWARC, which ours is built on, and warcio.

JSON lines: every text of a plain and of a gzip file; ours adds a SHA-256 of each line and its offset. Peers:
datatrove's JsonlReader, and a bare loop of `json.loads`. Parquet (zstd): every text of a column; ours adds a SHA-256.
Peers: datatrove's ParquetReader, and a bare loop over pyarrow's batches.

With --data FOLDER the archive is warc/derived/crawl_apache_flink.warc.gz and the lines are text/wiki_en.jsonl.zst;
without, both are made of the standard library's modules. After the speeds: what is left of archives with a damaged bit.
"""

import gzip
import importlib.util
import io
import json
import random
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.paired import ratio
from orfevre.data.readers.archive import Captured
from orfevre.data.readers.columns import read_parquet
from orfevre.data.readers.jsonl import read_jsonl
from orfevre.data.readers.record import Broken
from orfevre.data.readers.warc import _http, captures
from orfevre.recipe import Reading, Source

REPEATS = 7
SOURCE = Source(name="s", paths=("x",), format="jsonl", licence="MIT", language="en")
READING = Reading()

Way = Callable[[], int]
"""Reads the input once; returns how many texts or bodies it saw."""


def run(data: Path | None = None, *, small: bool = False) -> int:
    lines = _lines(data)[: 300_000 if small else None]
    lines = lines[: lines.rindex(b"\n") + 1]
    archive = _archive(data, small)
    unpacked = gzip.decompress(archive)
    repeats = 2 if small else REPEATS
    _compare("WARC.gz, blocks", _blocks(archive), len(unpacked), repeats)
    _compare("WARC.gz, bodies", _bodies(archive), len(unpacked), repeats)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("x.jsonl", lines), ("x.jsonl.gz", gzip.compress(lines, 6))):
            path = Path(folder) / name
            path.write_bytes(content)
            _compare(name[2:], _texts(path), len(lines), repeats)
        path = Path(folder) / "x.parquet"
        texts = [json.loads(line)["text"] for line in lines.splitlines()]
        pq.write_table(pa.table({"text": texts}), path, compression="zstd", row_group_size=4096)
        _compare("parquet", _rows(path), sum(len(text.encode()) for text in texts), repeats)
    _damage(5 if small else 60)
    return 0


def _compare(title: str, ways: dict[str, Way | None], num_bytes: int, repeats: int) -> None:
    found: dict[str, list[float]] = {name: [] for name, way in ways.items() if way}
    counts = {name: way() for name, way in ways.items() if way}  # warms up
    for _ in range(repeats):
        for name, seconds in found.items():
            way = ways[name]
            assert way is not None
            start = time.process_time()
            way()
            seconds.append(max(time.process_time() - start, 1e-6))
    print(f"{title}: {num_bytes / 1e6:.1f} MB unpacked")
    for name, way in ways.items():
        if way is None:
            print(f"  {name}: skipped, not installed")
        else:
            speed = num_bytes / 1e6 / median(found[name])
            print(f"  {name}: {speed:.0f} MB for each CPU second ({counts[name]} read)")
    for name in [*found][1:]:
        for line in ratio(found["orfevre"], found[name]).lines(name):
            print(f"  {line}")


def _blocks(archive: bytes) -> dict[str, Way | None]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    def ours() -> int:
        found = captures(io.BytesIO(archive), READING, Counter())
        return sum(isinstance(item, Captured) for item in found)

    def fastwarc() -> int:
        wanted = WarcRecordType.response
        records = ArchiveIterator(io.BytesIO(archive), record_types=wanted, parse_http=False)
        return sum(record.reader.read() is not None for record in records)

    def warcio() -> int:
        from warcio.archiveiterator import ArchiveIterator as Iterator_

        records = Iterator_(io.BytesIO(archive), no_record_parse=True)
        return sum(record.raw_stream.read() is not None for record in records if record.rec_type == "response")

    return {"orfevre": ours, "fastwarc": fastwarc, "warcio": warcio if _has("warcio") else None}


def _bodies(archive: bytes) -> dict[str, Way | None]:
    from hashlib import sha256

    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from orfevre.data.readers.record import Facts

    def ours() -> int:
        count = 0
        for item in captures(io.BytesIO(archive), READING, Counter()):
            if isinstance(item, Captured):
                facts = Facts(raw_sha256=sha256(item.block).hexdigest())
                count += _http(item, facts, READING.max_record_bytes) is not None
        return count

    def fastwarc() -> int:
        records = ArchiveIterator(
            io.BytesIO(archive), record_types=WarcRecordType.response, parse_http=True, auto_decode="all"
        )
        return sum(record.reader.read() is not None for record in records)

    def warcio() -> int:
        from warcio.archiveiterator import ArchiveIterator as Iterator_

        records = Iterator_(io.BytesIO(archive))
        return sum(record.content_stream().read() is not None for record in records if record.rec_type == "response")

    return {"orfevre": ours, "fastwarc": fastwarc, "warcio": warcio if _has("warcio") else None}


def _texts(path: Path) -> dict[str, Way | None]:
    def ours() -> int:
        with path.open("rb") as file:
            return sum(1 for _ in read_jsonl(file, path.name, SOURCE, READING))

    def bare() -> int:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for line in file if json.loads(line)["text"])

    def datatrove() -> int:
        from datatrove.pipeline.readers import JsonlReader
        from loguru import logger

        logger.remove()  # it says every file to stderr
        reader = JsonlReader(str(path.parent), glob_pattern=path.name)
        return sum(1 for _ in reader.run())

    return {"orfevre": ours, "json.loads": bare, "datatrove": datatrove if _has("datatrove") else None}


def _rows(path: Path) -> dict[str, Way | None]:
    def ours() -> int:
        with path.open("rb") as file:
            return sum(1 for _ in read_parquet(file, path.name, SOURCE, READING))

    def bare() -> int:
        batches = pq.ParquetFile(path).iter_batches(columns=["text"])
        return sum(1 for batch in batches for text in batch.column(0).to_pylist() if text)

    def datatrove() -> int:
        from datatrove.pipeline.readers import ParquetReader
        from loguru import logger

        logger.remove()
        return sum(1 for _ in ParquetReader(str(path.parent), glob_pattern=path.name).run())

    return {"orfevre": ours, "pyarrow": bare, "datatrove": datatrove if _has("datatrove") else None}


def _damage(trials: int) -> None:
    """Pages out of 8 that are read from an archive with one flipped bit, and whether the loss is told."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    rng = random.Random(0)
    parts = [gzip.compress(part) for part in _records([rng.randbytes(3000).hex() for _ in range(8)])]
    data = b"".join(parts)
    ours, told, theirs = 0, 0, 0
    for _ in range(trials):
        place = rng.randrange(len(data))
        damaged = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        items = list(captures(io.BytesIO(damaged), READING, Counter()))
        good = sum(isinstance(item, Captured) for item in items)
        ours, told = ours + good, told + (good == 8 or any(isinstance(item, Broken) for item in items))
        try:
            for record in ArchiveIterator(io.BytesIO(damaged), record_types=WarcRecordType.response):
                theirs += bool(record.reader.read())
        except Exception:  # what the peer stops at
            continue
    print(f"One flipped bit in 8 gzip records, {trials} times: mean pages read {ours / trials:.2f} by orfevre,")
    print(f"  {theirs / trials:.2f} by FastWARC until it stops; orfevre told of a loss in {told} of {trials}")


def _records(bodies: list[str]) -> list[bytes]:
    records = []
    for number, body in enumerate(bodies):
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{number}\r\n"
            f"Content-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
        )
        records.append(head.encode() + block + b"\r\n\r\n")
    return records


def _archive(data: Path | None, small: bool) -> bytes:
    path = None if data is None else data / "warc/derived/crawl_apache_flink.warc.gz"
    if path is not None and path.is_file() and not small:
        return path.read_bytes()
    pages = [f"<html><body><pre>{text}</pre></body></html>" for text in _modules()[: 20 if small else None]]
    return b"".join(map(gzip.compress, _records(pages)))


def _lines(data: Path | None) -> bytes:
    path = None if data is None else data / "text/wiki_en.jsonl.zst"
    if path is not None and path.is_file():
        import zstandard

        with path.open("rb") as file:
            return bytes(zstandard.ZstdDecompressor().stream_reader(file).read())
    rows = [{"text": text, "id": number} for number, text in enumerate(_modules())]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _modules() -> list[str]:
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return [path.read_text(encoding="utf-8", errors="replace") for path in files]


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]) if sys.argv[1:] else None))
