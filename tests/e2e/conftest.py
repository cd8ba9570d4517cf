"""One small journey, shared by the tests that look at it."""

import pytest
from tests.e2e.small import Journey, orfevre, write_recipe


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    folder = tmp_path_factory.mktemp("journey")
    recipe = write_recipe(folder)
    done = orfevre("run", recipe)
    assert done.returncode == 0, done.stderr
    return Journey(recipe, folder / "work" / "journey", done.stdout, done.stderr)
