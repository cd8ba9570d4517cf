"""orfevre design: a first design, then batches after measured runs, from anywhere or from a pool; refusals."""

import csv

import law
import numpy as np
import pytest

from orfevre import cli
from orfevre.mix.batches import APART

WEIGHTS = [f"weight.{name}" for name in law.SOURCES]
HEADER = ["run", *WEIGHTS, "loss.code", "loss.docs"]


def rows(count=20, seed=0):
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet(np.ones(4), count)
    losses = law.loss_rows(mixtures)[:, [1, 2]] + law.NOISE * rng.standard_normal((count, 2))
    return [[f"x{n}", *mixtures[n], *losses[n]] for n in range(count)]


def write(path, header, lines):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path


def read(path):
    """Names and mixtures [n, 4]."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    return [row["run"] for row in found], np.array([[float(row[name]) for name in WEIGHTS] for row in found])


def gaps(mixtures, others):
    return np.linalg.norm(np.sqrt(mixtures)[:, None] - np.sqrt(others), axis=2)


def target_loss(mixtures, target):
    return law.loss_rows(mixtures)[:, [1, 2]] @ np.array(target)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write(tmp_path_factory.mktemp("runs") / "runs.csv", HEADER, rows())


@pytest.fixture(scope="module")
def objective(tmp_path_factory):
    path = tmp_path_factory.mktemp("objective") / "objective.toml"
    path.write_text(
        "target = { code = 0.8, docs = 0.2 }\nmax_weights = { code = 0.3 }\n"
        'groups = [{ name = "rest", sources = ["books", "web"], min_weight = 0.3 }]\n'
    )
    return path


def test_the_next_batch_lowers_the_loss_and_is_new(tmp_path, runs, capsys):
    out = tmp_path / "next.csv"
    assert cli.main(["design", "--after", str(runs), "--runs", "4", "--out", str(out)]) == 0
    names, mixtures = read(out)
    assert names == ["b020", "b021", "b022", "b023"]
    _, tried = read(runs)
    assert np.min(gaps(mixtures, tried)) >= APART
    assert np.mean(target_loss(mixtures, [0.5, 0.5])) < np.quantile(target_loss(tried, [0.5, 0.5]), 0.25)
    said = " ".join(capsys.readouterr().err.split())
    assert "of the best with probability" in said and "these 4 are expected to win" in said


def test_the_next_batch_keeps_the_objective_s_limits(tmp_path, runs, objective):
    out = tmp_path / "next.csv"
    arguments = ["design", "--after", str(runs), "--optimise", str(objective), "--runs", "3", "--out", str(out)]
    assert cli.main(arguments) == 0
    first = out.read_text()
    _, mixtures = read(out)
    assert np.all(mixtures[:, 1] <= 0.3 + 1e-8)  # written with nine digits
    assert np.all(mixtures[:, 0] + mixtures[:, 3] >= 0.3 - 1e-8)
    assert cli.main(arguments) == 0
    assert out.read_text() == first


def test_a_pool_is_chosen_from_by_what_it_may_win(tmp_path, runs, objective):
    lines = [line[:5] for line in rows(80, seed=0)]  # the first are those of the runs... and the rest are not
    lines[20:] = [[f"y{n}", *line[1:5]] for n, line in enumerate(rows(60, seed=5))]
    pool, out = write(tmp_path / "pool.csv", HEADER[:5], lines), tmp_path / "next.csv"
    arguments = ["design", "--from", str(pool), "--after", str(runs), "--runs", "4", "--out", str(out)]
    assert cli.main(arguments) == 0
    names, mixtures = read(out)
    _, all_of_it = read(pool)
    assert all(name.startswith("y") for name in names)  # none that was run
    reached = target_loss(mixtures, [0.5, 0.5])
    assert np.mean(reached) < np.quantile(target_loss(all_of_it, [0.5, 0.5]), 0.25)
    assert cli.main([*arguments, "--optimise", str(objective)]) == 0
    _, mixtures = read(out)
    assert len(mixtures) == 4
    assert np.all(mixtures[:, 1] <= 0.3) and np.all(mixtures[:, 0] + mixtures[:, 3] >= 0.3)


def test_without_losses_a_pool_is_chosen_from_by_distance(tmp_path):
    lines = [line[:5] for line in rows(40)]
    pool, done = write(tmp_path / "pool.csv", HEADER[:5], lines), write(tmp_path / "done.csv", HEADER[:5], lines[:8])
    out = tmp_path / "next.csv"
    assert cli.main(["design", "--from", str(pool), "--after", str(done), "--runs", "5", "--out", str(out)]) == 0
    names, mixtures = read(out)
    assert not set(names) & {f"x{n}" for n in range(8)}
    tried, others = np.array([line[1:] for line in lines[:8]]), np.array([line[1:] for line in lines[8:]])
    assert np.min(gaps(mixtures[:1], tried)) == pytest.approx(np.max(np.min(gaps(others, tried), axis=1)), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sources", "a,b", "--after", "{runs}"], "goes without --from and --after"),
        (["--sources", "a,b", "--optimise", "{objective}"], "after those of --after RUNS.csv"),
        (["--from", "{bare}", "--optimise", "{objective}"], "after those of --after RUNS.csv"),
        (["--after", "{bare}"], "0 columns named loss.<name>"),
        (["--from", "{bare}", "--after", "{bare}", "--optimise", "{objective}"], "has no loss.<target> columns"),
        (["--after", "{few}"], "5 different mixtures; at least 8"),
        (["--after", "{runs}", "--optimise", "{unknown}"], "target.law is not in the runs"),
        (["--from", "{other}", "--after", "{runs}"], "its sources are not those of the runs"),
        (
            ["--from", "{bare}", "--after", "{runs}", "--optimise", "{objective}", "--runs", "15"],
            "mixtures keep the limits, --runs asks for 15",
        ),
        ([], "give either --sources, to draw mixtures, --after RUNS.csv"),
    ],
)
def test_refusals(tmp_path, capsys, runs, objective, arguments, message):
    files = {
        "runs": runs,
        "objective": objective,
        "bare": write(tmp_path / "bare.csv", HEADER[:5], [line[:5] for line in rows()]),
        "few": write(tmp_path / "few.csv", HEADER, rows(5)),
        "unknown": tmp_path / "unknown.toml",
        "other": write(tmp_path / "other.csv", ["weight.a", "weight.b"], [[n / 20, 1 - n / 20] for n in range(20)]),
    }
    files["unknown"].write_text("target = { law = 1.0 }\n")
    given = [one.format(**files) for one in arguments]
    runs_wanted = [] if "--runs" in given else ["--runs", "4"]
    assert cli.main(["design", *given, *runs_wanted, "--out", str(tmp_path / "x.csv")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x.csv").exists()
