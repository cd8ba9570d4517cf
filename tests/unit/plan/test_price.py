"""Bills by arithmetic done by hand, farms that cannot be priced, and what a bill says."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.data import tokenizer
from orfevre.errors import InputError, RecipeError
from orfevre.model import count
from orfevre.plan import accelerators, words
from orfevre.plan.bill import Bill
from orfevre.plan.price import USABLE_MEMORY, estimate, price
from orfevre.recipe import Farm, Mix, Model, Plan, Recipe, ScaleUp, Source, Tokenize, Train

MIXTRAL = Model(
    hidden_size=4096, num_layers=32, num_heads=32, num_kv_heads=8, ffn_size=14336, vocab_size=32_000
)  # fmt: skip


def recipe(farm: Farm | None = None, **changes: object) -> Recipe:
    plan = changes.pop("plan", Plan(farm=farm or Farm(count=1, rent_euros_per_hour=2.0)))
    source = Source(name="books", paths=("x",), format="text", licence="CC0-1.0", language="en")
    return Recipe(name="small", sources=(source,), mix=Mix(target={"books": 1.0}), plan=plan, **changes)


def mixture(ratio: float | None = 1.5, interval: object = (1.2, 2.0)) -> dict[str, object]:
    return {
        "weights": {"books": 1.0},
        "scales": {"check": {"parameters": 100_000, "tokens": 1_000_000, "runs": 2}},
        "price": {"compute_ratio": ratio, "interval": interval, "extrapolated": False, "text": "It was seen."},
    }


def test_hours_euros_and_energy_by_hand():
    farm = Farm(gpu="mine", count=10, peak_tflops=100, memory_gib=80, watts=500, mfu=0.5, rent_euros_per_hour=3,
                pue=1.5, co2_grams_per_kwh=100)  # fmt: skip
    bill = estimate(recipe(plan=Plan(farm=farm, max_overhead_fraction=0.2)))
    (run,) = bill.runs
    flops = run.tokens * count.flops_per_token(Model(), 32_000, 256)
    gpu_hours = flops / (100e12 * 0.5) / 3600 * 1.2
    assert run.flops == pytest.approx(flops)
    assert run.gpu_hours == pytest.approx(gpu_hours)
    assert run.hours == pytest.approx(gpu_hours / 10)  # a step has 16 sequences, enough for ten
    assert run.euros == pytest.approx(3 * gpu_hours)
    assert run.kwh == pytest.approx(gpu_hours * 0.5 * 1.5)
    assert run.co2_kg == pytest.approx(run.kwh * 0.1)


def test_mission_farm_a_thousand_h100_bought_at_30_000_euros():
    """Write-off 30,000 / (4 x 8766 x 0.7) = 1.2222 euros an hour, electricity 1.275 kW x 1.2 x 0.15 = 0.2295."""
    farm = Farm(gpu="H100-SXM", count=1000, buy_euros=30_000)
    bill = estimate(recipe(plan=Plan(farm=farm, scale_up=ScaleUp(model=MIXTRAL, tokens=10**12))))
    run = bill.runs[1]
    assert run.farm == bill.runs[0].farm  # a scale-up without a farm takes the recipe's
    assert run.farm.euros_per_gpu_hour == pytest.approx(1.2222 + 0.2295, abs=1e-3)
    assert run.parameters == 46_702_792_704
    assert run.gpu_hours == pytest.approx(1e12 * run.flops_per_token / (989e12 * 0.4) / 3600 * 1.1)
    assert run.fits
    assert 60 < run.hours < 64  # about two and a half days for 1e12 tokens


def test_tokens_are_whole_steps():
    train = Train(tokens=10_000, batch_sequences=4, sequence_length=256)
    assert estimate(recipe(train=train)).runs[0].tokens == 9 * 1024


def test_vocabulary_is_the_models_or_the_tokenizers():
    assert estimate(recipe()).runs[0].parameters == count.parameters(Model(), 32_000).total
    fixed = recipe(model=Model(vocab_size=40_000))
    assert estimate(fixed).runs[0].parameters == count.parameters(Model(), 40_000).total


def test_vocabulary_of_a_given_tokenizer_is_read(tmp_path: Path):
    made = tokenizer.train([["one two three " * 50]], 300)
    made.save(tmp_path / "tokenizer.json")
    given = recipe(tokenize=Tokenize(file=str(tmp_path / "tokenizer.json")))
    assert estimate(given).runs[0].parameters == count.parameters(Model(), made.vocab_size).total
    with pytest.raises(InputError, match=r"absent\.json"):
        estimate(recipe(tokenize=Tokenize(file=str(tmp_path / "absent.json"))))


def test_unknown_gpu_names_the_nearest_and_what_to_give():
    with pytest.raises(RecipeError, match=r"plan\.farm\.gpu = 'h100sxm'.*H100-SXM.*plan\.farm\.watts"):
        estimate(recipe(Farm(gpu="h100sxm", peak_tflops=989, memory_gib=80)))
    own = Farm(gpu="TPU", peak_tflops=459, memory_gib=95, watts=400)
    assert estimate(recipe(own)).runs[0].farm.source == "peak_tflops, memory_gib, watts: the recipe"


def test_recipe_figures_go_before_the_tables():
    found = accelerators.of(Farm(gpu="H200", watts=900), "plan.farm")
    assert (found.watts, found.peak_tflops) == (900, 989)
    assert "watts: the recipe" in found.source


def test_rented_and_bought_at_once_is_refused():
    with pytest.raises(RecipeError, match="rented or bought"):
        estimate(recipe(Farm(rent_euros_per_hour=2, buy_euros=30_000)))


def test_neither_rented_nor_bought_is_noted_and_no_cause_for_worry():
    bill = estimate(recipe(Farm(count=1)))
    assert any("electricity alone" in line and "plan.farm has neither" in line for line in bill.notes)
    assert bill.warnings == ()


LAPTOP = Farm(gpu="CPU-2-core", count=1, mfu=0.5, pue=1.0)


def scaled_up(farm: Farm, own: Farm = LAPTOP) -> Plan:
    return Plan(farm=own, scale_up=ScaleUp(model=MIXTRAL, tokens=10**12, farm=farm))


def test_each_run_is_priced_on_its_own_farm():
    large = Farm(count=1000, buy_euros=30_000)
    both = estimate(recipe(plan=scaled_up(large)))
    one = estimate(recipe(LAPTOP))
    other = estimate(recipe(plan=scaled_up(large, own=large)))
    assert both.runs == (one.runs[0], other.runs[1])
    assert [run.farm.gpu for run in both.runs] == ["CPU-2-core", "H100-SXM"]
    assert both.runs[0].hours == pytest.approx(both.runs[0].flops / (0.16e12 * 0.5) / 3600 * 1.1)


def test_notices_name_the_farm_of_the_run_they_speak_of():
    bill = estimate(recipe(plan=scaled_up(Farm(gpu="L4", count=2, mfu=0.3))))
    assert any("small, on 1 x CPU-2-core: MFU 0.5 (plan.farm.mfu), PUE 1" in line for line in bill.assumptions)
    assert any("scale-up, on 2 x L4: MFU 0.3 (plan.scale_up.farm.mfu)" in line for line in bill.assumptions)
    assert any("scale-up" in line and "plan.scale_up.farm has neither" in line for line in bill.notes)
    (warning,) = bill.warnings
    assert "on each L4" in warning and "plan.scale_up.farm.count" in warning


@pytest.mark.parametrize(
    ("farm", "words_wanted"),
    [
        (Farm(gpu="h100sxm"), r"^plan\.scale_up\.farm\.gpu = .*give plan\.scale_up\.farm\.peak_tflops, "),
        (Farm(rent_euros_per_hour=2, buy_euros=1), r"^plan\.scale_up\.farm\.rent_euros_per_hour = 2 and "),
    ],
)
def test_a_scale_up_farm_that_cannot_be_priced_is_named(farm: Farm, words_wanted: str):
    with pytest.raises(RecipeError, match=words_wanted):
        estimate(recipe(plan=scaled_up(farm)))


def test_scale_up_without_vocabulary_is_refused():
    with pytest.raises(RecipeError, match=r"plan\.scale_up\.model\.vocab_size"):
        estimate(recipe(plan=Plan(scale_up=ScaleUp(model=Model(), tokens=10))))


def test_what_does_not_fit_is_a_warning():
    one = Plan(farm=Farm(gpu="L4", count=1, rent_euros_per_hour=1), scale_up=ScaleUp(model=MIXTRAL, tokens=10))
    bill = estimate(recipe(plan=one))
    assert bill.runs[0].fits and not bill.runs[1].fits
    assert bill.runs[1].memory_gib.available == 24 * USABLE_MEMORY
    assert any("scale-up does not fit" in line for line in bill.warnings)


def test_a_run_fills_no_more_accelerators_than_it_has_sequences():
    large, small = (estimate(recipe(Farm(count=count, buy_euros=1))) for count in (1000, 16))
    assert (large.runs[0].hours, large.runs[0].memory_gib) == (small.runs[0].hours, small.runs[0].memory_gib)
    assert any("fills 16 of the farm's 1,000 x H100-SXM" in line for line in large.notes)
    assert not any("fills" in line for line in small.notes)


def test_a_scale_up_says_how_much_text_it_needs():
    plan = Plan(scale_up=ScaleUp(model=MIXTRAL, tokens=10**12))
    bill = price(recipe(plan=plan), 32_000, mixture=mixture(), tokens_by_source={"books": 10**9})
    assert any("1,000,000,000, which may be read as 4,000,000,000" in line for line in bill.notes)


@pytest.mark.parametrize(
    ("tokens", "words_wanted"),
    [(10**9, "below 1e23"), (2 * 10**12, "above 1e23 and below 1e25"), (2 * 10**14, "above 1e25")],
)
def test_ai_act_thresholds(tokens: int, words_wanted: str):
    bill = estimate(recipe(plan=Plan(scale_up=ScaleUp(model=MIXTRAL, tokens=tokens))))
    assert any("scale-up" in line and words_wanted in line for line in bill.notes)


@given(ratio=st.floats(0.5, 20), low=st.floats(0.1, 1), high=st.floats(1, 40))
def test_wrong_mix_costs_ratio_minus_one_runs(ratio: float, low: float, high: float):
    bill = price(recipe(), 32_000, mixture=mixture(ratio, [ratio * low, ratio * high]))
    (run,) = bill.runs
    wrong = run.wrong_mix
    assert wrong is not None and wrong.gpu_hours is not None and wrong.gpu_hours_interval is not None
    assert math.isclose(wrong.gpu_hours + run.gpu_hours, ratio * run.gpu_hours)
    assert wrong.gpu_hours_interval[0] <= wrong.gpu_hours <= wrong.gpu_hours_interval[1]
    assert math.isclose(wrong.euros, wrong.gpu_hours * run.farm.euros_per_gpu_hour)
    assert "100,000 parameters" in wrong.text and "assumed to carry over" in wrong.text


@pytest.mark.parametrize("interval", [None, [1.2, None], [None, None]])
def test_a_ratio_that_could_not_be_had_stays_unknown(interval: object):
    (run,) = price(recipe(), 32_000, mixture=mixture(None, interval)).runs
    assert run.wrong_mix.gpu_hours is None and run.wrong_mix.euros is None
    assert "It was seen." in run.wrong_mix.text


def test_epochs_over_the_limit_are_a_warning():
    tokens = recipe().train.num_steps * recipe().train.tokens_per_step
    few = price(recipe(), 32_000, mixture=mixture(), tokens_by_source={"books": tokens // 5})
    enough = price(recipe(), 32_000, mixture=mixture(), tokens_by_source={"books": tokens // 3})
    assert any("max_epochs is 4" in line for line in few.warnings)
    assert not any("max_epochs" in line for line in enough.warnings)


def test_bill_survives_json_and_reads_as_markdown():
    bill = price(
        recipe(plan=Plan(farm=LAPTOP, scale_up=ScaleUp(name="a|b", model=MIXTRAL, tokens=10**12, farm=Farm()))),
        32_000,
        mixture=mixture(),
    )
    assert Bill.model_validate_json(bill.model_dump_json()) == bill
    text = words.render(bill)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {4}  # every row has its three cells
    assert "| Farm | 1 x CPU-2-core | 8 x H100-SXM |" in text
    assert "Figures of CPU-2-core: arithmetic" in text and "Figures of H100-SXM: NVIDIA" in text
    assert "46,702,792,704" in text and "1.5 times the compute (1.2 to 2)" in text


@given(st.floats(1e-3, 1e14))
def test_figures_keep_three_digits(amount: float):
    assert float(words.figure(amount).replace(",", "")) == pytest.approx(amount, rel=6e-3)
