"""orfevre fit and design: a known law told from a CSV file, another scale, and every kind of bad table refused."""

import csv
import json

import law
import numpy as np
import pytest

from orfevre import cli
from orfevre.mix import surrogate, table

HEADER = ["run", "num_params", "num_tokens", *(f"weight.{name}" for name in law.SOURCES), "loss.code", "loss.docs"]


def rows(count=28, seed=0, params=1e6, bend=lambda losses: losses):
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet(np.ones(4), count)
    losses = bend(law.loss_rows(mixtures)[:, [1, 2]]) + law.NOISE * rng.standard_normal((count, 2))
    return [[f"x{n}", params, 1e9, *mixtures[n], *losses[n]] for n in range(count)]


def write(path, header, lines):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fit_predicts_a_known_law_with_honest_intervals(tmp_path, capsys):
    runs = write(tmp_path / "runs.csv", HEADER, rows())
    unseen = [line[:7] for line in rows(60, seed=1)]
    asked = write(tmp_path / "asked.csv", HEADER[:7], unseen)
    out = tmp_path / "told.csv"
    assert cli.main(["fit", str(runs), "--predict", str(asked), "--out", str(out)]) == 0
    told = read(out)
    assert [row["run"] for row in told] == [line[0] for line in unseen]  # the candidates' own columns come back
    truth = law.loss_rows(np.array([line[3:7] for line in unseen], dtype=float))[:, 1]
    predicted, low, high = (np.array([float(row[f"{part}.code"]) for row in told]) for part in ("pred", "lo", "hi"))
    assert surrogate.spearman(predicted, truth) > 0.97
    assert np.mean((low <= truth) & (truth <= high)) > 0.8
    said = capsys.readouterr()
    assert "code" in said.out + said.err and "spearman" in said.out + said.err


def test_a_larger_scale_is_told_from_a_few_of_its_runs(tmp_path):
    def bend(losses):
        return 0.6 + 0.7 * losses

    small, large = rows(40), rows(6, seed=2, params=1e9, bend=bend)
    runs = write(tmp_path / "runs.csv", HEADER, small + large)
    asked = write(tmp_path / "asked.csv", HEADER[:7], [line[:7] for line in rows(40, seed=3)])
    out = tmp_path / "told.csv"
    scale = ["--num-params", "1e9", "--num-tokens", "1e9"]
    assert cli.main(["fit", str(runs), "--predict", str(asked), "--out", str(out), *scale]) == 0
    mixtures = np.array([[float(row[f"weight.{name}"]) for name in law.SOURCES] for row in read(out)])
    truth = bend(law.loss_rows(mixtures)[:, 1])
    predicted = np.array([float(row["pred.code"]) for row in read(out)])
    assert np.sqrt(np.mean((predicted - truth) ** 2)) < 0.2 * np.std(truth)


def bend(slopes):
    return lambda losses: 0.6 + np.array(slopes) * losses


def at(params):
    return ["--num-params", str(params), "--num-tokens", "1e9"]


def test_every_scale_up_to_the_one_asked_for_is_a_rung(tmp_path, capsys):
    small, middle = rows(40), rows(5, seed=2, params=1e7, bend=bend([0.8, 0.9]))
    large = rows(5, seed=3, params=1e9, bend=bend([0.4, 0.9]))
    beyond = rows(5, seed=4, params=1e12, bend=bend([3.0, 3.0]))
    runs = write(tmp_path / "runs.csv", HEADER, [*beyond, *large, *small, *middle])
    asked = write(tmp_path / "asked.csv", HEADER[:7], [line[:7] for line in rows(30, seed=5)])
    out = tmp_path / "told.csv"
    assert cli.main(["fit", str(runs), "--predict", str(asked), "--out", str(out), *at("1e9")]) == 0
    said = " ".join((capsys.readouterr().err).split())
    assert said.index("bent to 10,000,000 parameters") < said.index("bent to 1,000,000,000 parameters")
    assert "bent to 1,000,000,000,000" not in said
    assert "is in truth better than it with a probability of" in said
    mixtures = np.array([[float(row[f"weight.{name}"]) for name in law.SOURCES] for row in read(out)])
    truth = bend([0.4, 0.9])(law.loss_rows(mixtures)[:, [1, 2]])
    told = np.array([[float(row[f"pred.{name}"]) for name in ("code", "docs")] for row in read(out)])
    assert np.all(np.sqrt(np.mean((told - truth) ** 2, axis=0)) < 0.25 * np.std(truth, axis=0))
    low, high = (
        np.array([[float(row[f"{end}.{n}"]) for n in ("code", "docs")] for row in read(out)]) for end in ("lo", "hi")
    )
    assert np.mean((low <= truth) & (truth <= high)) > 0.8


def test_a_scale_with_many_runs_of_its_own_is_told_by_these_where_they_tell_better(tmp_path, capsys):
    def other(losses):
        return losses[:, ::-1]  # what was code's loss is docs' now: the smaller runs tell nothing of it

    runs = write(tmp_path / "runs.csv", HEADER, [*rows(40), *rows(24, seed=2, params=1e9, bend=other)])
    asked = write(tmp_path / "asked.csv", HEADER[:7], [line[:7] for line in rows(30, seed=3)])
    out = tmp_path / "told.csv"
    assert cli.main(["fit", str(runs), "--predict", str(asked), "--out", str(out), *at("1e9")]) == 0
    assert "these alone are believed" in " ".join(capsys.readouterr().err.split())
    truth = law.loss_rows(np.array([[float(row[f"weight.{name}"]) for name in law.SOURCES] for row in read(out)]))
    assert surrogate.spearman(np.array([float(row["pred.code"]) for row in read(out)]), truth[:, 2]) > 0.9
    same = write(tmp_path / "same.csv", HEADER, [*rows(60), *rows(16, seed=2, params=1e9, bend=bend([0.7, 0.7]))])
    assert cli.main(["fit", str(same), *at("1e9")]) == 0
    assert "the bent fit is kept" in " ".join(capsys.readouterr().err.split())


def spoil(lines, row, column, value):
    lines = [list(line) for line in lines]
    lines[row][HEADER.index(column)] = value
    return lines


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        (HEADER, spoil(rows(), 3, "loss.code", ""), "row 5, column loss.code: '' is no finite number"),
        (HEADER, spoil(rows(), 0, "loss.docs", "nan"), "row 2, column loss.docs: 'nan'"),
        (HEADER, spoil(rows(), 2, "weight.web", "-0.1"), "row 4, column weight.web: -0.1 is below 0"),
        (HEADER, spoil(rows(), 2, "weight.web", "2"), "the shares of row 4 sum to"),
        (HEADER, rows(5), "5 different mixtures; at least 8"),
        (HEADER, [[*line[:7], 3.0, line[8]] for line in rows()], "loss.code is 3 in every run"),
        (HEADER, rows(5) + rows(4, seed=1, params=1e9), "5 different mixtures at the scale with the most runs"),
        (
            HEADER,
            [[*line[:7], 3.0, line[8]] for line in rows(12)] + rows(6, seed=1, params=1e9),
            "loss.code is 3 in every run at the scale with the most runs",
        ),
        (HEADER[:7], [line[:7] for line in rows()], "0 columns named loss.<name>"),
        (
            [*HEADER[:3], "weight.web", *HEADER[7:]],
            [[*line[:3], 1.0, *line[7:]] for line in rows()],
            "at least 2 wanted",
        ),
        ([*HEADER[:8], "loss.code"], rows(), "two columns are named 'loss.code'"),
        (HEADER, [*rows(), ["x", 1]], "row 30 has 2 cells, the header has 9"),
        (["run", "num_params", *HEADER[3:]], [[*line[:2], *line[3:]] for line in rows()], "has num_params but not"),
    ],
)
def test_bad_tables_are_refused_with_the_place(tmp_path, capsys, header, lines, message):
    runs = write(tmp_path / "runs.csv", header, lines)
    assert cli.main(["fit", str(runs)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_rounded_and_copied_rows_are_mended_and_said(tmp_path):
    lines = rows()
    lines[4][3:7] = [round(share, 3) for share in lines[4][3:7]]
    lines[4][3] += 0.002
    found = table.read_runs(write(tmp_path / "runs.csv", HEADER, [*lines, lines[0]]))
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)
    assert len(found.losses) == 28
    assert any("divided by their sum" in note for note in found.mixtures.notes)
    assert any("1 rows are copies" in note for note in found.mixtures.notes)


def test_fewer_runs_than_sources_are_said_and_still_told_apart(tmp_path, capsys):
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.ones(12), 10)
    header = [*(f"weight.s{n}" for n in range(12)), "loss.a"]
    lines = [[*mixture, 3.0 - np.sqrt(mixture[0])] for mixture in mixtures]
    runs, asked = write(tmp_path / "runs.csv", header, lines), write(tmp_path / "asked.csv", header[:12], mixtures)
    out = tmp_path / "told.csv"
    assert cli.main(["fit", str(runs), "--predict", str(asked), "--out", str(out)]) == 0
    assert "10 runs for 12 sources: expect wide intervals" in " ".join(capsys.readouterr().err.split())
    told = np.array([float(row["pred.a"]) for row in read(out)])
    assert np.std(told) > 0.1 * np.std([line[-1] for line in lines])


def test_another_scale_must_be_in_the_table(tmp_path, capsys):
    runs = write(tmp_path / "runs.csv", HEADER, rows())
    assert cli.main(["fit", str(runs), "--num-params", "7e9", "--num-tokens", "1e12"]) == 2
    assert "no run of 7,000,000,000 parameters" in " ".join(capsys.readouterr().err.split())


def test_design_holds_the_baselines_and_their_repeats(tmp_path):
    out = tmp_path / "design.csv"
    arguments = ["design", "--sources", "web,code,books", "--natural", "web=0.7,code=0.2,books=0.1", "--runs", "12"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    first = out.read_text()
    mixtures = np.array([[float(row[f"weight.{name}"]) for name in ("web", "code", "books")] for row in read(out)])
    np.testing.assert_allclose(mixtures.sum(axis=1), 1.0)
    np.testing.assert_allclose(mixtures[0], [0.7, 0.2, 0.1])
    assert len(mixtures) == 12 + 4
    groups = surrogate.same_mixture(mixtures)
    assert sorted(map(len, groups))[-2:] == [3, 3]  # natural and uniform, with two repeats each
    assert cli.main([*arguments, "--out", str(out)]) == 0
    assert out.read_text() == first


def test_design_chooses_from_a_pool_what_is_far_from_what_is_done(tmp_path):
    pool = write(tmp_path / "pool.csv", HEADER[:7], [line[:7] for line in rows(50)])
    done = write(tmp_path / "done.csv", HEADER, rows(10))  # the pool's first ten
    out = tmp_path / "next.csv"
    assert cli.main(["design", "--from", str(pool), "--after", str(done), "--runs", "8", "--out", str(out)]) == 0
    chosen = [row["run"] for row in read(out)]
    assert len(set(chosen)) == 8
    assert not set(chosen) & {f"x{n}" for n in range(10)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.csv"], "give either --sources"),
        (["--sources", "web", "--out", "x.csv"], "name two or more different sources"),
        (["--sources", "web,code", "--natural", "web=0.5", "--out", "x.csv"], "sum to 0.5"),
        (["--sources", "web,code", "--natural", "web=much", "--out", "x.csv"], "is not SOURCE=SHARE"),
        (["--sources", "web,code", "--natural", "law=1", "--out", "x.csv"], "names law, which is not in --sources"),
    ],
)
def test_design_refuses_with_a_remedy(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["design", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def objective(folder, text):
    path = folder / "objective.toml"
    path.write_text(text)
    return path


def test_optimise_finds_the_law_s_optimum_and_keeps_what_it_is_told(tmp_path, capsys):
    runs = write(tmp_path / "runs.csv", HEADER, rows(40))
    asked = objective(
        tmp_path,
        """
        target = { code = 0.7, docs = 0.3 }
        max_weights = { code = 0.5 }
        num_tokens = 1e9
        available = { docs = 5e7 }
        groups = [{ name = "rest", sources = ["books", "web"], min_weight = 0.2 }]
        pareto = ["code", "docs"]
        """,
    )
    out = tmp_path / "best.json"
    assert cli.main(["fit", str(runs), "--optimise", str(asked), "--out", str(out)]) == 0
    best = json.loads(out.read_text())
    weights = best["weights"]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["code"] <= 0.5 + 1e-9 and weights["docs"] <= 0.2 + 1e-9  # 4 epochs of 50 M in 1 B tokens
    assert weights["books"] + weights["web"] >= 0.2 - 1e-9
    assert best["epochs"]["docs"] <= 4 + 1e-6
    pool = np.random.default_rng(0).dirichlet(np.ones(4), 40_000)
    pool = pool[(pool[:, 1] <= 0.5) & (pool[:, 2] <= 0.2)]
    target = np.array([0.7, 0.3])
    reached = law.loss_rows(np.array([[weights[name] for name in law.SOURCES]]))[0, [1, 2]] @ target
    assert reached <= np.min(law.loss_rows(pool)[:, [1, 2]] @ target) + 0.01
    assert best["unconstrained"]["code"] > 0.5
    assert {one["source"] for one in best["shadow_prices"]} == set(best["binding"])
    front = [(one["losses"]["code"], one["losses"]["docs"]) for one in best["pareto"]]
    assert front == sorted(front) and [b for _, b in front] == sorted((b for _, b in front), reverse=True)
    assert "best:" in " ".join(capsys.readouterr().err.split())


def test_optimise_at_a_larger_scale_moves_with_the_amplitudes(tmp_path, capsys):
    """Where code's loss hardly moves any more, docs decide."""
    slopes = [0.15, 1.5]
    runs = write(tmp_path / "runs.csv", HEADER, [*rows(40), *rows(6, seed=2, params=1e9, bend=bend(slopes))])
    asked, out = objective(tmp_path, "target = { code = 0.6, docs = 0.4 }"), tmp_path / "best.json"
    assert cli.main(["fit", str(runs), "--optimise", str(asked), "--out", str(out)]) == 0
    small = json.loads(out.read_text())
    assert cli.main(["fit", str(runs), "--optimise", str(asked), "--out", str(out), *at("1e9")]) == 0
    large = json.loads(out.read_text())
    target, pool = np.array([0.6, 0.4]), np.random.default_rng(0).dirichlet(np.ones(4), 40_000)

    def reached(found):
        place = np.array([[found["weights"][name] for name in law.SOURCES]])
        return float((bend(slopes)(law.loss_rows(place)[:, [1, 2]]) @ target)[0])

    least = np.min(bend(slopes)(law.loss_rows(pool)[:, [1, 2]]) @ target)
    assert large["weights"]["docs"] > small["weights"]["docs"] + 0.1
    assert reached(large) < min(reached(small) - 0.01, least + 0.02)
    assert large["slopes"][0]["docs"] > 1.0 > large["slopes"][0]["code"]
    assert large["rank_risk"]["the best of the smaller scale"] < 0.2
    assert "is in truth better than this one" in " ".join(capsys.readouterr().err.split())


def test_a_ceiling_is_kept_or_refused_with_what_can_be_had(tmp_path, capsys):
    runs = write(tmp_path / "runs.csv", HEADER, rows(40))
    free = objective(tmp_path, "target = { code = 1.0 }")
    out = tmp_path / "best.json"
    assert cli.main(["fit", str(runs), "--optimise", str(free), "--out", str(out)]) == 0
    least = json.loads(out.read_text())["predicted"]["best"]["losses"]["docs"]
    held = objective(tmp_path, f"target = {{ code = 1.0 }}\nmax_losses = {{ docs = {least - 0.1} }}")
    assert cli.main(["fit", str(runs), "--optimise", str(held), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["predicted"]["best"]["losses"]["docs"] <= least - 0.1 + 1e-5
    capsys.readouterr()
    never = objective(tmp_path, "target = { code = 1.0 }\nmax_losses = { docs = 0.5 }")
    assert cli.main(["fit", str(runs), "--optimise", str(never)]) == 2
    assert "docs: 0.5 asked," in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target = { code = 0.5 }", "target weights sum to 0.5"),
        ("target = { law = 1.0 }", "target.law is not in the runs"),
        ("target = { code = 1.0 }\nmax_weights = { law = 0.1 }", "max_weights: law is not in the runs"),
        ("target = { code = 1.0 }\nmax_losses = { law = 0.1 }", "max_losses.law is not in the runs"),
        ("target = { code = 1.0 }\npareto = ['code']", "pareto names one loss"),
        ("target = { code = 1.0 }\nmin_weight = { web = 0.1 }", "min_weight: no such key"),
        (
            "target = { code = 1.0 }\nmin_weights = { web = 0.7 }\nnum_tokens = 1e9\navailable = { web = 1e8 }",
            "web: at most 0.4000 (available x max_epochs)",
        ),
        ("target = ", "not valid TOML"),
    ],
)
def test_bad_objectives_are_refused(tmp_path, capsys, text, message):
    runs = write(tmp_path / "runs.csv", HEADER, rows())
    assert cli.main(["fit", str(runs), "--optimise", str(objective(tmp_path, text))]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
