"""Entropies, mutual information and distances of known counts, and their properties on any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orfevre.engine import specialisation

COUNTS = arrays(np.int64, (3, 5), elements=st.integers(0, 50)).filter(lambda counts: (counts.sum(1) > 0).all())


def test_entropy_of_known_shares() -> None:
    p = np.array([[0.25] * 4, [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    assert specialisation.entropy(p).tolist() == [2.0, 0.0, 1.0]


def test_domains_that_share_no_expert_are_told_apart_for_sure() -> None:
    counts = np.array([[7, 3, 0, 0], [0, 0, 4, 16]])
    assert specialisation.mutual_information(counts) == pytest.approx(1.0)  # log2 of two domains
    assert specialisation.distances(counts) == pytest.approx(np.array([[0.0, 1.0], [1.0, 0.0]]))


def test_domains_that_route_alike_tell_nothing() -> None:
    counts = np.array([[10, 20, 30], [1, 2, 3]])
    assert specialisation.mutual_information(counts) == pytest.approx(0.0, abs=1e-12)
    assert specialisation.distances(counts).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@given(COUNTS)
def test_information_is_bounded_and_blind_to_order_and_size(counts: np.ndarray) -> None:
    found = specialisation.mutual_information(counts)
    assert 0 <= found <= np.log2(3) + 1e-9
    mixed = counts[::-1, [3, 0, 4, 1, 2]] * np.array([[1], [7], [3]])
    assert specialisation.mutual_information(mixed) == pytest.approx(found, abs=1e-9)


@given(COUNTS)
def test_distances_are_a_metric_whose_squares_sum_to_the_information_of_pairs(counts: np.ndarray) -> None:
    found = specialisation.distances(counts)
    assert (np.diag(found) == 0).all() and (found == found.T).all() and (found <= 1 + 1e-9).all()
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        assert found[i, j] <= found[i, k] + found[k, j] + 1e-6
        assert found[i, j] ** 2 == pytest.approx(specialisation.mutual_information(counts[[i, j]]), abs=1e-9)


def test_chance_is_below_what_is_real_and_above_what_is_not() -> None:
    rng = np.random.default_rng(1)
    # layer 0: a domain's documents go to experts of their own; layer 1: each document goes where it likes
    apart = [[rng.multinomial(100, [0.7, 0.1, 0.1, 0.1]) for _ in range(20)],
             [rng.multinomial(100, [0.1, 0.1, 0.1, 0.7]) for _ in range(20)]]  # fmt: skip
    alike = [[rng.multinomial(100, rng.dirichlet([0.5] * 4)) for _ in range(20)] for _ in range(2)]
    documents = {name: np.stack([apart[n], alike[n]], axis=1) for n, name in enumerate(("a", "b"))}
    first, second = specialisation.summarise(documents, seed=3)["layers"]
    assert first["mutual_information"] > 3 * first["chance_95"]
    assert second["mutual_information"] < second["chance_95"]
    assert 0 < second["chance"] < second["chance_95"]


def test_a_table_of_one_domain_or_of_single_documents_says_what_it_cannot_tell() -> None:
    one = np.array([[[3, 1]]])
    empty = np.zeros((0, 1, 2), dtype=np.int64)
    assert specialisation.summarise({"a": one, "b": empty}, seed=1) == {"sources": ["a"], "layers": []}
    (layer,) = specialisation.summarise({"a": one, "b": one[:, :, ::-1]}, seed=1)["layers"]
    assert layer["chance"] is None and layer["chance_95"] is None
    assert layer["load_entropy"] == pytest.approx(1.0) and layer["load_entropy_share"] == pytest.approx(1.0)
    assert specialisation.summarise({"a": one, "b": one}, seed=1)["layers"][0]["mutual_information"] == 0.0


def test_a_dense_model_has_nothing_to_tell() -> None:
    (layer,) = specialisation.summarise({"a": np.array([[[4]], [[5]]]), "b": np.array([[[9]]])}, seed=1)["layers"]
    assert layer["mutual_information"] == layer["share"] == layer["load_entropy"] == 0.0
    assert layer["load_entropy_share"] == 1.0
