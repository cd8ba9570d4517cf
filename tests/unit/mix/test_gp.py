"""The Gaussian process: gradients against finite differences, closed forms against refits and textbook algebra."""

import numpy as np
import pytest

from orfevre.mix import gp

RNG = np.random.default_rng(3)
X = RNG.standard_normal((14, 3))
Y = np.sin(X[:, 0]) + 0.5 * X[:, 1] + 0.05 * RNG.standard_normal(14)


def central(function, place, step=1e-5):
    unit = np.eye(len(place)) * step
    return np.array([(function(place + move) - function(place - move)) / (2 * step) for move in unit])


@pytest.mark.parametrize("seed", range(5))
def test_likelihood_gradient_is_the_finite_difference(seed):
    theta = np.random.default_rng(seed).normal([0.5, 0.5, 0.5, 0.0, -1.5], 0.5)
    y = (Y - Y.mean()) / Y.std()
    squares = (X[:, None] - X[None]) ** 2
    loudness = np.random.default_rng(seed).uniform(0.3, 3.0, len(y))
    _, gradient = gp.objective(theta, y, squares, loudness)
    expected = central(lambda place: gp.objective(place, y, squares, loudness)[0], theta)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_mean_gradient_is_the_finite_difference():
    process = gp.fit(X, Y)
    for place in RNG.standard_normal((5, 3)):
        expected = central(lambda p: process.mean(p[None])[0], place)
        np.testing.assert_allclose(process.mean_gradient(place), expected, rtol=1e-5, atol=1e-7)


def test_posterior_is_the_textbook_formula():
    process = gp.fit(X, Y)
    places = RNG.standard_normal((6, 3))
    noisy = process.lower @ process.lower.T
    own = np.diag(noisy - gp.kernel(process.theta, X, X)) * process.scale**2
    assert np.all(own >= process.noise**2)  # outliers have more noise of their own, none has less
    inverse, cross = np.linalg.inv(noisy), gp.kernel(process.theta, places, X)
    y = (Y - process.centre) / process.scale
    np.testing.assert_allclose(process.mean(places), process.centre + process.scale * cross @ inverse @ y, rtol=1e-7)
    expected = process.scale**2 * (gp.kernel(process.theta, places, places) - cross @ inverse @ cross.T)
    np.testing.assert_allclose(process.covariance(places), expected, atol=1e-7)
    np.testing.assert_allclose(process.variance(places), np.diag(expected), atol=1e-7)


def test_an_outlier_hardly_moves_its_neighbours():
    x = np.linspace(-2, 2, 40)[:, None]
    clean = np.sin(x[:, 0]) + 0.02 * np.random.default_rng(0).standard_normal(40)
    spoilt = clean.copy()
    spoilt[20] += 1.5
    process = gp.fit(x, clean)
    moved = gp.condition(x, spoilt, process.theta, process.centre, process.scale).mean(x) - process.mean(x)
    assert np.max(np.abs(moved)) < 0.05


def test_repeats_reveal_the_noise():
    x = np.repeat(np.linspace(-1, 1, 10)[:, None], 4, axis=0)
    y = x[:, 0] ** 2 + 0.1 * np.random.default_rng(0).standard_normal(40)
    within = np.sqrt(np.mean(np.var(y.reshape(10, 4), axis=1, ddof=1)))
    assert gp.fit(x, y).noise == pytest.approx(within, rel=0.15)


def test_equal_observations_do_not_break_the_fit():
    process = gp.fit(X, np.full(14, 2.5))
    np.testing.assert_allclose(process.mean(X), 2.5)
