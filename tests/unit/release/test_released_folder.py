"""The stage end to end on the tiny run: what transformers, sha256sum and a BitTorrent client make of the folder."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import transformers

from orfevre.data import tokenizer
from orfevre.engine.checkpoint import load_trained
from orfevre.errors import RecipeError, WorkFolderError
from orfevre.recipe import Recipe
from orfevre.release import stage, torrent

TEXTS = ["The cat sat on the mat.", tokenizer.PROBE, "", " two  spaces\n\n", "a </s> b"]


@pytest.fixture
def out(recipe: Recipe, inputs: dict[str, Path], tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    tally = stage.run(recipe, inputs, made)
    assert tally.notes["magnet"] == (made / "magnet.txt").read_text().strip()
    return made


def test_transformers_gives_the_same_logits(out: Path, inputs: dict[str, Path]):
    ours = load_trained(inputs["train"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out / "Tiny-1").eval()
    assert theirs.dtype == torch.float32
    ids_BS = torch.randint(0, ours.vocab_size, (3, 200), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = ours(ids_BS), theirs(ids_BS).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_tokenizer_gives_the_same_ids(out: Path, inputs: dict[str, Path]):
    ours = tokenizer.load(inputs["tokenize"] / "tokenizer.json")
    theirs = transformers.AutoTokenizer.from_pretrained(out / "Tiny-1")
    for text in TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text)
        assert theirs(text)["input_ids"] == [ours.bos, *ours.encode(text)]
        assert theirs.decode(ours.encode(text)) == text
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (ours.bos, ours.eos, ours.pad)


def test_configuration_reads_back_as_the_recipe(out: Path, recipe: Recipe):
    config = transformers.AutoConfig.from_pretrained(out / "Tiny-1")
    assert config.rope_parameters["rope_theta"] == recipe.model.rope_theta
    assert config.router_aux_loss_coef == recipe.model.aux_loss_weight
    assert (config.num_local_experts, config.num_experts_per_tok) == (4, 2)
    assert config.max_position_embeddings == recipe.model.context_length
    generation = transformers.GenerationConfig.from_pretrained(out / "Tiny-1")
    assert generation.eos_token_id == config.eos_token_id


def test_sha256sum_agrees_and_sees_a_changed_byte(out: Path):
    folder = out / "Tiny-1"
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    for name in ("README.md", "LICENSE", "model.safetensors", "config.json", "tokenizer.json"):
        assert name in listed
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not on this machine")
    check = ["sha256sum", "--quiet", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0
    with (folder / "config.json").open("a") as file:
        file.write(" ")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode != 0


def test_same_inputs_same_bytes(out: Path, recipe: Recipe, inputs: dict[str, Path], tmp_path: Path):
    again = tmp_path / "again"
    (again / "Tiny-1").mkdir(parents=True)
    (again / "Tiny-1" / "left-over.safetensors").write_text("half a file")
    stage.run(recipe, inputs, again)
    assert _digests(again) == _digests(out)


def test_torrent_matches_the_folder(out: Path):
    metadata = (out / "Tiny-1.torrent").read_bytes()
    assert torrent.verify(metadata, out / "Tiny-1") == []
    assert (out / "magnet.txt").read_text().strip() == torrent.magnet(metadata)


def test_bfloat16_runs_are_published_as_bfloat16(recipe: Recipe, inputs: dict[str, Path], tmp_path: Path):
    made = tmp_path / "half"
    made.mkdir()
    train = recipe.train.model_copy(update={"dtype": "bfloat16"})
    stage.run(recipe.model_copy(update={"train": train}), inputs, made)
    assert transformers.AutoModelForCausalLM.from_pretrained(made / "Tiny-1").dtype == torch.bfloat16


def test_an_unfinished_input_is_refused(recipe: Recipe, inputs: dict[str, Path], tmp_path: Path):
    (inputs["mix"] / "manifest.json").unlink()
    with pytest.raises(WorkFolderError, match="mix"):
        stage.run(recipe, inputs, tmp_path)


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden", "with space", "x" * 97])
def test_a_name_that_is_no_folder_is_refused(name: str, recipe: Recipe, inputs: dict[str, Path], tmp_path: Path):
    changed = recipe.model_copy(update={"release": recipe.release.model_copy(update={"model_name": name})})
    with pytest.raises(RecipeError, match=r"release\.model_name"):
        stage.run(changed, inputs, tmp_path)


def test_tied_embeddings_survive(recipe: Recipe, inputs: dict[str, Path], tmp_path: Path):
    from safetensors.torch import load_file, save_file

    config = json.loads((inputs["train"] / "config.json").read_text()) | {"tie_embeddings": True}
    (inputs["train"] / "config.json").write_text(json.dumps(config))
    path = inputs["train"] / "checkpoints" / "step-3" / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if name != "output.weight"}, path)
    made = tmp_path / "tied"
    made.mkdir()
    stage.run(recipe, inputs, made)
    ids_BS = torch.arange(50)[None]
    with torch.no_grad():
        expected = load_trained(inputs["train"])(ids_BS)
        found = transformers.AutoModelForCausalLM.from_pretrained(made / "Tiny-1")(ids_BS).logits
    # an embedding of deviation 1 makes logits of tens when it is the output projection too
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


def test_options_beyond_mixtral_are_published_in_our_own_format(
    recipe: Recipe, inputs: dict[str, Path], tmp_path: Path
):
    from safetensors.torch import save_file

    from orfevre.model.transformer import Transformer, initialise
    from orfevre.recipe import Model
    from orfevre.weights.opened import open_weights

    config = json.loads((inputs["train"] / "config.json").read_text()) | {"qk_norm": True, "shared_experts": 1}
    (inputs["train"] / "config.json").write_text(json.dumps(config))
    shape = Model.model_validate(config)
    model = Transformer(shape, shape.vocab_size)
    initialise(model, torch.Generator().manual_seed(1))
    save_file(dict(model.named_parameters()), inputs["train"] / "checkpoints" / "step-3" / "model.safetensors")
    made = tmp_path / "beyond"
    made.mkdir()
    stage.run(recipe, inputs, made)
    opened = open_weights(made / "Tiny-1")
    assert (opened.format, opened.config) == ("orfevre", shape)
    ids_BS = torch.arange(50)[None]
    with torch.no_grad():
        assert torch.equal(opened.load()(ids_BS), model.eval()(ids_BS))
    card = (made / "Tiny-1" / "README.md").read_text()
    assert "model.shared_experts = 1, model.qk_norm = true" in card and "open_weights" in card
    assert "AutoModelForCausalLM" not in card and "library_name" not in card


def _digests(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
