"""Opt-outs on the whole way through curation: counted, told with address and rule, gone from documents."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.unit.curate.test_optout import warc

from orfevre import recipe as recipes
from orfevre.curate import stage

WORDS = "pierre feuille ciseaux rivière montagne chemin maison fenêtre jardin lumière silence matin voyage lettre"


def page(number: int, head: str = "") -> bytes:
    words = WORDS.split()
    body = "".join(
        f"<p>Dans le récit {number}, le {words[(number + line) % 14]} et la {words[(number * line) % 14]} sont en page "
        f"{number * 31 + line}, et {words[(line * 3) % 14]} en est le mot que l'on retient pour la suite du livre.</p>"
        for line in range(8)
    )
    return f"<html lang=fr><head><title>Récit {number}</title>{head}</head><body><article>{body}</article>".encode()


def test_reserved_pages_of_an_archive_are_dropped_and_told(tmp_path: Path) -> None:
    robots = b"User-agent: CCBot\nDisallow: /ferme/"
    records = [
        warc("https://exemple.fr/robots.txt", robots),
        *(
            warc(f"https://exemple.fr/{number}", page(number), headers="Content-Type: text/html\r\n")
            for number in range(6)
        ),
        warc("https://exemple.fr/ferme/7", page(7), headers="Content-Type: text/html\r\n"),
        warc("https://exemple.fr/8", page(8), headers="Content-Type: text/html\r\nTDM-Reservation: 1\r\n"),
        warc("https://exemple.fr/9", page(9, "<meta name=robots content=noai>"), headers="Content-Type: text/html\r\n"),
    ]
    (tmp_path / "crawl.warc").write_bytes(b"".join(records))
    source = {
        "name": "web", "paths": [str(tmp_path / "crawl.warc")], "format": "warc", "licence": "various", "language": "fr"
    }  # fmt: skip
    table: dict[str, Any] = {
        "name": "rights", "work": str(tmp_path / "work"), "sources": [source], "mix": {"target": {"web": 1.0}},
        "runner": {"kind": "inline"}, "curate": {"optout": {"robots_in_sources": True}},
    }  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    stage.run(recipes.from_table(table, "test"), {}, out)
    dropped = {row["url"]: row for row in pq.read_table(out / "dropped" / "web.parquet").to_pylist()}
    reserved = {url: row["detail"] for url, row in dropped.items() if row["reason"] == "opt_out"}
    assert reserved == {
        "https://exemple.fr/ferme/7": "robots: robots.txt for CCBot: disallow: /ferme/",
        "https://exemple.fr/8": "tdm: tdm-reservation: 1",
        "https://exemple.fr/9": "directives: robots: noai",
    }
    assert all(not dropped[url]["text"] for url in reserved)
    kept = pq.read_table(out / "documents" / "web.parquet").to_pylist()
    assert kept and {row["url"] for row in kept} <= {f"https://exemple.fr/{number}" for number in range(6)}
    assert all(row["title"].startswith("Récit") for row in kept)
