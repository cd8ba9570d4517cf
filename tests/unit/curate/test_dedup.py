"""Which documents stay, against a reference that compares everything with everything, whatever the parts and limits."""

import hashlib
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.curate import candidates, catalogue, choose, dedup, ranking, signs
from orfevre.curate.catalogue import Part
from orfevre.curate.choose import EXACT, KEPT, NEAR
from orfevre.kernels import minhash
from orfevre.recipe import Dedup, Runner

INLINE = Runner(kind="inline")
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Document:
    id: int
    text: str
    priority: int = 0
    quality: float | None = None

    @property
    def shingles(self) -> set[int]:
        return set(minhash.shingles([self.text.encode()])[0].tolist())


def write_part(path: Path, documents: list[Document], rules: Dedup) -> None:
    """What sift leaves, as far as deduplication reads it; every other row is one that a step has dropped."""
    import pyarrow as pa

    documents = sorted(documents, key=lambda document: document.id)
    encoded = [document.text.encode() for document in documents]
    index = np.zeros(len(documents), signs.INDEX)
    for place, (document, text) in enumerate(zip(documents, encoded, strict=True)):
        index[place] = signs.entry(document.id, hashlib.sha256(text).digest(), len(text), document.quality)
    signs.write(path, index, encoded, rules)
    rows = [row for document in documents for row in ((document.text, None), ("dropped " * 9, "too_short"))]
    table = pa.table({"text": [row[0] for row in rows], "reason": pa.array([row[1] for row in rows], pa.string())})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        for start in range(0, len(table), 6):
            writer.write_table(table.slice(start, 6))


def decide(
    folder: Path, documents: list[Document], rules: Dedup, num_parts: int = 1, machine: Runner = INLINE
) -> dict[int, tuple[int, int, int]]:
    """Status, twin and group of each document by id, those without a relation too. A part holds one priority."""
    folder.mkdir(exist_ok=True)
    parts = []
    for priority in sorted({document.priority for document in documents}):
        own = [document for document in documents if document.priority == priority]
        for number in range(num_parts):
            path = folder / f"part-{priority}-{number}.arrow"
            write_part(path, own[number::num_parts], rules)
            parts.append(Part(path, priority))
    known, verdicts = dedup.decide(parts, rules, folder / "dedup", machine)
    found = {document.id: (KEPT, document.id, document.id) for document in documents}
    ids, twins, groups = (known.rows(p)[0]["id"].tolist() for p in (verdicts.place, verdicts.twin, verdicts.group))
    for document, status, twin, group in zip(ids, verdicts.status.tolist(), twins, groups, strict=True):
        found[document] = (status, twin, group)
    return found


def variants(max_size: int = 14) -> st.SearchStrategy[list[Document]]:
    """Texts over few base documents, each with some words changed: all degrees of likeness, exact copies too."""

    @st.composite
    def text(draw: st.DrawFn) -> str:
        base = draw(st.integers(0, 2))
        words = [f"b{base}w{place}" for place in range(60)]
        for place in draw(st.lists(st.integers(0, 59), max_size=6)):
            words[place] = f"new{draw(st.integers(0, 3))}"
        return " ".join(words[: draw(st.sampled_from([60, 60, 50, 3, 0]))])

    @st.composite
    def all_of(draw: st.DrawFn) -> list[Document]:
        ids = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=max_size, unique=True))
        quality = st.sampled_from([None, 0.25, 0.75])
        return [Document(number, draw(text()), draw(st.integers(0, 1)), draw(quality)) for number in ids]

    return all_of()


def rank_of(document: Document, rules: Dedup) -> tuple[float, ...]:
    score = -1.0 if document.quality is None else document.quality
    of = {"source": document.priority, "quality": -score, "length": -len(document.text.encode())}
    return (*(of[criterion] for criterion in rules.keep), document.id, document.priority)


RULES = st.permutations(["source", "quality", "length"]).flatmap(
    lambda order: st.integers(0, 3).map(lambda size: Dedup(keep=tuple(order[:size])))
)


@SLOW
@given(documents=variants(), rules=RULES)
def test_what_stays_and_what_goes(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], rules: Dedup
) -> None:
    found = decide(tmp_path_factory.mktemp("work"), documents, rules)
    known = {document.id: document for document in documents}
    sets = {document.id: document.shingles for document in documents}
    bands = {document.id: set(_keys(document, rules)) for document in documents}

    def likeness(one: int, other: int) -> float:
        return len(sets[one] & sets[other]) / max(1, len(sets[one] | sets[other]))

    for number, (status, twin, _) in found.items():
        better = rank_of(known[twin], rules) < rank_of(known[number], rules)
        if status == EXACT:
            assert better and known[twin].text == known[number].text and found[twin][0] != EXACT
        elif status == NEAR:  # it has a better near-duplicate that stays, not only by estimate
            assert better and found[twin][0] == KEPT and likeness(number, twin) >= rules.jaccard
        else:
            assert twin == number
    kept = [number for number, (status, _, _) in found.items() if status == KEPT]
    for one, other in combinations(kept, 2):
        assert known[one].text != known[other].text
        if bands[one] & bands[other]:
            assert likeness(one, other) < rules.jaccard
            if likeness(one, other) >= rules.group_jaccard:
                assert found[one][2] == found[other][2]
    assert all(found[group][0] == KEPT for _, _, group in found.values())


def _keys(document: Document, rules: Dedup) -> list[int]:
    values, counts = minhash.signatures([document.text.encode()], rules.num_bands * rules.rows_per_band)
    return minhash.band_keys(values, rules.num_bands)[:, 0].tolist() if counts[0] else []


@SLOW
@given(documents=variants(), seed=st.integers(0, 9), num_parts=st.integers(1, 5))
def test_order_parts_groups_and_ranges_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], seed: int, num_parts: int
) -> None:
    rules = Dedup()
    expected = decide(tmp_path_factory.mktemp("one"), documents, rules)
    shuffled = [documents[place] for place in np.random.default_rng(seed).permutation(len(documents))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "KEYS_IN_RUN", 3 * rules.num_bands)
        patch.setattr(catalogue, "KEYS_IN_RANGE", 2 * rules.num_bands)
        patch.setattr(catalogue, "SLICE_RECORDS", 0)
        assert decide(tmp_path_factory.mktemp("many"), shuffled, rules, num_parts) == expected


def some_documents(count: int) -> list[Document]:
    rng = np.random.default_rng(1)
    words = np.array([f"w{number}" for number in range(3000)])
    bases = [rng.choice(words, 80) for _ in range(count // 4)]
    texts = []
    for number in range(count):
        own = bases[number % len(bases)].copy()
        own[rng.integers(0, 80, number % 3)] = f"changed{number}"
        texts.append(" ".join(own))
    return [Document(int(number), text) for number, text in zip(rng.integers(0, 2**63, count), texts, strict=True)]


def test_a_pool_of_two_gives_the_same_and_leaves_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, documents = Dedup(), some_documents(60)
    monkeypatch.setattr(catalogue, "KEYS_IN_RUN", 20 * rules.num_bands)
    monkeypatch.setattr(catalogue, "KEYS_IN_RANGE", 25 * rules.num_bands)
    monkeypatch.setattr(catalogue, "SLICE_RECORDS", 0)
    inline = decide(tmp_path / "inline", documents, rules, 4)
    pooled = decide(tmp_path / "pool", documents, rules, 4, Runner(kind="pool", workers=2))
    assert inline == pooled and any(status == NEAR for status, _, _ in inline.values())
    assert _files(tmp_path / "inline") == _files(tmp_path / "pool")


def test_it_goes_on_from_the_files_that_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, documents = Dedup(), some_documents(40)
    monkeypatch.setattr(catalogue, "KEYS_IN_RANGE", 10 * rules.num_bands)
    monkeypatch.setattr(catalogue, "SLICE_RECORDS", 0)
    expected = decide(tmp_path, documents, rules, 2)
    whole = _files(tmp_path)
    for name in ("alike/000000.npy", "sets/000000.npy", "pairs/000001.npy", "involved/000001.npy", "bands/000000.npy"):
        (tmp_path / "dedup" / name).unlink()
    made = []
    save = candidates.shuffle.save
    monkeypatch.setattr(candidates.shuffle, "save", lambda path, array: (made.append(path), save(path, array)))
    assert decide(tmp_path, documents, rules, 2) == expected
    assert _files(tmp_path) == whole
    assert {path.parent.name for path in made} == {"alike", "sets", "pairs", "involved", "bands"}


def _files(folder: Path) -> dict[str, bytes]:
    """Digest of every file below `dedup`, the catalogue's paths left out."""
    paths = sorted((folder / "dedup").rglob("*.npy"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in paths}


def test_groups_and_ranges_grow_as_the_square_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "KEYS_IN_RUN", 1)
    monkeypatch.setattr(catalogue, "KEYS_IN_RANGE", 1)
    rules, parts = Dedup(), []
    for number in range(50):
        path = tmp_path / f"part-{number:02d}.arrow"
        np.save(path.with_suffix(".index.npy"), np.zeros(20_000 if number % 2 else 100, signs.INDEX))
        parts.append(Part(path, 0))
    known = catalogue.build(parts, rules)
    num_keys = known.num_documents * rules.num_bands
    assert num_keys / len(known.groups) / known.num_ranges > catalogue.SLICE_RECORDS / 2
    spans = [known.span(group) for group in range(len(known.groups))]
    assert spans[0][0] == 0 and spans[-1][1] == known.num_documents
    assert all(one[1] == other[0] for one, other in pairwise(spans))


def test_a_bucket_of_boilerplate_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MAX_PIVOTS", 3)
    text = " ".join(f"licence{n}" for n in range(60))
    documents = [Document(number, text + f" copyright holder{number}") for number in range(10, 50)]
    found = decide(tmp_path, documents, Dedup())
    assert [number for number, (status, _, _) in found.items() if status == KEPT] == [10]
    assert all(twin == 10 and group == 10 for _, twin, group in found.values())
    assert np.load(tmp_path / "dedup" / "pairs" / "000000.npy").shape[1] < 40 * 39 // 2


def test_nothing_and_texts_without_words(tmp_path: Path) -> None:
    found = decide(tmp_path / "a", [Document(1, "..."), Document(2, "!!!"), Document(3, "")], Dedup())
    assert {status for status, _, _ in found.values()} == {KEPT}
    _, verdicts = dedup.decide([], Dedup(), tmp_path / "b", INLINE)
    assert len(verdicts.place) == 0


def test_the_source_of_highest_priority_keeps_its_document(tmp_path: Path) -> None:
    long, short = " ".join(f"w{n}" for n in range(99)), " ".join(f"w{n}" for n in range(95))
    documents = [Document(1, short, 0), Document(2, long, 1)]
    assert decide(tmp_path / "a", documents, Dedup())[2] == (NEAR, 1, 1)
    assert decide(tmp_path / "b", documents, Dedup(keep=("length",)))[1] == (NEAR, 2, 2)
    scored = [Document(1, short, 0, 0.2), Document(2, long, 1, 0.9)]
    assert decide(tmp_path / "c", scored, Dedup(keep=("quality", "source")))[1] == (NEAR, 2, 2)
    assert ranking.priorities(("a", "b", "c"), Dedup(priority=("c",))) == {"c": 0, "a": 1, "b": 2}


def test_a_chain_of_small_changes_keeps_its_far_end() -> None:
    pairs = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
    choice = choose.choose(6, pairs, np.full(4, 0.9), 0.8)
    assert choice.twin.tolist() == [0, 0, 2, 2, 4, 5] and choice.group.tolist() == [0, 0, 0, 0, 0, 5]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).filter(lambda pair: pair[0] != pair[1]), max_size=60))
def test_choosing_is_greedy_by_rank(edges: list[tuple[int, int]]) -> None:
    pairs = np.array(edges, np.int64).reshape(-1, 2).T
    twin = choose.choose(20, pairs, np.ones(len(edges)), 0.8).twin
    near = {frozenset(edge) for edge in edges}
    stays: list[int] = []
    for rank in range(20):
        rivals = [other for other in stays if frozenset((rank, other)) in near]
        assert twin[rank] == (rivals[0] if rivals else rank)
        if not rivals:
            stays.append(rank)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_components_are_named_by_their_least_member(edges: list[tuple[int, int]]) -> None:
    pairs = np.array(edges, np.int64).reshape(-1, 2).T
    least = list(range(20))
    for _ in range(20):
        for left, right in edges:
            least[left] = least[right] = min(least[left], least[right])
    assert choose.components(20, *pairs).tolist() == least
