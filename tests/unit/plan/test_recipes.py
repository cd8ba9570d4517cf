"""The shipped recipes are priced, each run on its farm, and the documentation lists every accelerator."""

from pathlib import Path

from orfevre import recipe
from orfevre.plan import accelerators
from orfevre.plan.price import estimate

ROOT = Path(__file__).parents[3]


def test_mixtral_is_priced():
    bill = estimate(recipe.load(ROOT / "recipes" / "mixtral-8x7b.toml"))
    (run,) = bill.runs
    assert (run.parameters, run.active_parameters) == (46_702_792_704, 12_879_925_248)
    assert run.farm.count == 1000 and run.fits and bill.warnings == ()
    assert any("above 1e23 and below 1e25" in line for line in bill.notes)


def test_the_quickstart_is_priced_on_a_small_machine_and_its_scale_up_on_a_large_farm():
    bill = estimate(recipe.load(ROOT / "recipes" / "quickstart.toml"))
    small, large = bill.runs
    assert (small.farm.gpu, small.farm.count, small.farm.cost) == ("CPU-2-core", 1, "electricity alone")
    assert (large.farm.gpu, large.farm.count) == ("H100-SXM", 1000)
    assert small.fits and large.fits and bill.warnings == ()
    assert sum("electricity alone" in line for line in bill.notes) == 1


def test_the_page_on_the_bill_lists_every_accelerator():
    page = (ROOT / "docs" / "concepts" / "bill.md").read_text(encoding="utf-8")
    for known in accelerators.table().values():
        row = f"| {known.name} | {known.peak_tflops:,} | {known.memory_gib:,} | {known.watts:,} |"
        assert row in page.splitlines(), f"docs/concepts/bill.md lacks {row}"
