"""The recipe that prices Mixtral 8x7B is valid, has its published size, and fits its farm."""

from pathlib import Path

from orfevre import recipe
from orfevre.plan.price import estimate

RECIPE = Path(__file__).parents[3] / "recipes" / "mixtral-8x7b.toml"


def test_mixtral_is_priced():
    bill = estimate(recipe.load(RECIPE))
    (run,) = bill.runs
    assert (run.parameters, run.active_parameters) == (46_702_792_704, 12_879_925_248)
    assert bill.farm.count == 1000 and run.fits and bill.warnings == ()
    assert any("above 1e23 and below 1e25" in line for line in bill.notes)
