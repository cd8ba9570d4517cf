"""The laws and their fit: derivatives against finite differences, known laws found again, outliers weighed down."""

import numpy as np
import pytest

from orfevre.mix import law, least_squares

RNG = np.random.default_rng(5)
MIXTURES = RNG.dirichlet(np.full(4, 0.7), 80)


def true_losses(mixtures):
    return 1.5 + 2.0 * (0.05 + (mixtures + law.FLOOR) ** 0.5 @ np.array([1.0, 0.4, 0.1, 0.02])) ** -0.4


@pytest.mark.parametrize("kind", ["effective", "loglinear"])
def test_derivatives_are_finite_differences(kind):
    prior = law._prior(kind, 4)
    model = law._model(kind, MIXTURES[:6])
    theta = prior.mean + 0.3 * RNG.standard_normal(len(prior.mean))
    moves = np.eye(len(theta)) * 1e-6
    expected = np.stack([(model(theta + move)[0] - model(theta - move)[0]) / 2e-6 for move in moves], axis=1)
    np.testing.assert_allclose(model(theta)[1], expected, rtol=1e-5, atol=1e-7)
    fitted = law.Law(kind, theta, 0.5, 2.0)
    for mixture in MIXTURES[:3]:
        steps = np.eye(4) * 1e-6
        slopes = [(fitted.mean((mixture + s)[None]) - fitted.mean((mixture - s)[None]))[0] / 2e-6 for s in steps]
        np.testing.assert_allclose(fitted.gradient(mixture), slopes, rtol=1e-4, atol=1e-6)


def test_a_known_law_is_found_again():
    losses = true_losses(MIXTURES)
    fitted = law.fit("effective", MIXTURES, losses, 0.01)
    unseen = np.random.default_rng(9).dirichlet(np.ones(4), 200)
    assert np.max(np.abs(fitted.mean(unseen) - true_losses(unseen))) < 0.02 * np.std(losses)


def test_outliers_do_not_pull_the_law(monkeypatch):
    spoilt = true_losses(MIXTURES) + 0.01 * RNG.standard_normal(80)
    spoilt[[3, 40]] += 1.0
    unseen = np.random.default_rng(9).dirichlet(np.ones(4), 200)

    def missed():
        told = law.fit("effective", MIXTURES, spoilt, 0.05).mean(unseen)
        return np.sqrt(np.mean((told - true_losses(unseen)) ** 2))

    robust = missed()
    monkeypatch.setattr(least_squares, "ROUNDS", 0)
    assert robust < 0.5 * missed()


def test_the_objective_never_rises_and_a_stiff_ridge_keeps_the_prior():
    prior = law._prior("effective", 4)
    y = (true_losses(MIXTURES) - 3) / 2
    model = law._model("effective", MIXTURES)
    found = least_squares.solve(model, y, np.ones(len(y)), prior, 1e4, prior.mean)
    np.testing.assert_allclose(found, prior.mean, atol=1e-4)
    loose = least_squares.solve(model, y, np.ones(len(y)), prior, 0.01, prior.mean)
    assert np.sum((model(loose)[0] - y) ** 2) < np.sum((model(prior.mean)[0] - y) ** 2)


def test_constant_losses_are_told_as_they_are():
    for kind in ("effective", "loglinear"):
        np.testing.assert_allclose(law.fit(kind, MIXTURES, np.full(80, 2.5), 0.1).mean(MIXTURES), 2.5, atol=0.05)
