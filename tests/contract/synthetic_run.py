"""Makes a finished run without running anything: every file of docs/reference/artefacts.md, small, consistent, seeded.

    sys.path.insert(0, "tests/contract"); from synthetic_run import STAGES, make
    folder = make(tmp_path)                      # all seven stages
    folder = make(tmp_path, stages=STAGES[:3])   # curate, tokenize, mix
    folder = make(tmp_path, variant="wide")      # sixteen sources; "plain" is without anything optional

The losses follow a known law (synthetic_mix.py), so that what is drawn from them looks like a real run; the texts are
random words. Documents, shards, counts, digests and the torrent agree with each other; model weights are random.
"""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from synthetic_mix import NAMES, TARGETS, floor, names_of, rivals, target_loss, write_mix
from synthetic_text import Run, write_curate, write_json, write_tokenize

from orfevre import artifact, ledger
from orfevre.engine import specialisation
from orfevre.recipe import Recipe, from_table

STAGES = ("curate", "tokenize", "mix", "plan", "train", "evaluate", "release")
READS = {
    "curate": (), "tokenize": ("curate",), "mix": ("tokenize",), "plan": ("tokenize", "mix"),
    "train": ("tokenize", "mix"), "evaluate": ("tokenize", "mix", "train"),
    "release": ("curate", "tokenize", "mix", "plan", "train", "evaluate"),
}  # fmt: skip
SECONDS = {"curate": 41.0, "tokenize": 18.5, "mix": 402.0, "plan": 0.4, "train": 288.0, "evaluate": 63.0,
           "release": 4.2}  # fmt: skip
SAMPLE = "<script>alert('a sample is text')</script> & so on"


def make(
    folder: Path, stages: Sequence[str] = STAGES, documents: int = 40, wins: bool = True, variant: str = "full"
) -> Path:
    """Write the stages, in order, into `<folder>/<recipe name>/`; return that folder. `documents` is per source."""
    recipe = synthetic_recipe(variant)
    run = Run(recipe, folder / recipe.name, random.Random(recipe.seed), documents)
    for number, stage in enumerate(STAGES):
        if stage in stages:
            fingerprint = ledger.fingerprint(stage, {}, _inputs(run, stage), recipe.seed)
            draft, attempts, _ = artifact.begin(run / stage, fingerprint)
            counts = write_mix(run, draft, wins, variant) if stage == "mix" else WRITERS[stage](run, draft)
            write_json(draft / "recipe.json", recipe.model_dump(mode="json"))
            artifact.finish(run / stage, _manifest(run, stage, number, counts, attempts))
    return run.root


def synthetic_recipe(variant: str = "full") -> Recipe:
    """Four sources or sixteen, a tiny model, and a scale-up to Mixtral's own size."""
    names = names_of(variant)
    table = {
        "name": "synthetic", "seed": 7, "data": "shared/data", "sources": _sources(names),
        "tokenize": {"vocab_size": 400}, "mix": _mix(names, variant),
        "model": {"hidden_size": 16, "num_layers": 6, "num_heads": 2, "num_kv_heads": 1, "ffn_size": 16,
                  "num_experts": 8, "context_length": 128},
        "train": {"tokens": 3_000_000, "sequence_length": 128},
        "plan": {
            "farm": {"count": 1, "rent_euros_per_hour": 2.2},
            "scale_up": {"name": "Mixtral 8x7B", "tokens": 2_000_000_000_000,
                         "farm": {"count": 512, "rent_euros_per_hour": 2.2}, "model": {
                "hidden_size": 4096, "num_layers": 32, "num_heads": 32, "num_kv_heads": 8, "ffn_size": 14336,
                "vocab_size": 32000, "context_length": 4096}},
        },
        "release": {"provider": "An Example & Co", "contact": "mail@example.invalid"},
    }  # fmt: skip
    return from_table(table, "synthetic")


def _sources(names: Sequence[str]) -> list[dict[str, Any]]:
    source = {"paths": ["{data}/*.txt"], "max_epochs": 4.0}
    if tuple(names) != NAMES:
        both = {"format": "text", "licence": "Public domain", "language": "en"}
        return [source | both | {"name": name} for name in names]
    return [
        source | {"name": "code", "format": "code", "licence": "PSF-2.0", "language": "python"},
        source | {"name": "docs", "format": "docstrings", "licence": "PSF-2.0", "language": "en"},
        source | {"name": "prose", "format": "text", "licence": "Public domain", "language": "en"},
        source | {"name": "web", "format": "html", "licence": "CC-BY-4.0", "language": "und"},
    ]


def _mix(names: Sequence[str], variant: str) -> dict[str, Any]:
    table: dict[str, Any] = {"target": TARGETS[tuple(names)], "num_proxies": 24}
    if variant != "plain":
        made = rivals(variant, dict.fromkeys(names, 1 / len(names)))
        table |= {"baselines": made, "batches": {"most": 3}, "pareto": list(table["target"])[:2]}
    return table


def _write_plan(run: Run, draft: Path) -> dict[str, int]:
    price = json.loads((run / "mix" / "mixture.json").read_text())["price"]
    train = run.recipe.train
    runs = [_bill_run(run.recipe.name, 81_000, 31_000, train.num_steps * train.tokens_per_step, 1, price)]
    runs.append(_bill_run("Mixtral 8x7B", 46_702_792_704, 12_879_925_248, 2_000_000_000_000, 512, price))
    assumptions = ["40 % of peak is useful work (plan.farm.mfu)", "Rent 2.20 euros per GPU-hour, electricity included"]
    warnings = ["The price of the wrong mix was measured on proxies; at scale-up size it is an extrapolation"]
    write_json(draft / "bill.json", {"runs": runs, "assumptions": assumptions, "notes": [], "warnings": warnings})
    (draft / "bill.md").write_text("# Bill\n")
    return {"runs": len(runs)}


def _bill_run(
    name: str, parameters: int, active: int, tokens: int, gpus: int, price: Mapping[str, Any]
) -> dict[str, Any]:
    per_token = 6.0 * active * 1.05
    gpu_hours = per_token * tokens / (989e12 * 0.4) / 3600 * 1.1
    ratio, interval = price["compute_ratio"], price["interval"]
    extra = None if ratio is None else gpu_hours * (ratio - 1)
    spread = None if interval is None else [gpu_hours * (bound - 1) for bound in interval]
    gib = parameters / 2**30
    memory = {"weights": 4 * gib / gpus, "gradients": 4 * gib / gpus, "optimiser": 8 * gib / gpus, "activations": 11.5}
    wrong = {"compute_ratio": ratio, "interval": interval, "gpu_hours": extra, "gpu_hours_interval": spread,
             "euros": None if extra is None else extra * 2.2,
             "euros_interval": None if spread is None else [hours * 2.2 for hours in spread],
             "text": price["text"]}  # fmt: skip
    farm = {"gpu": "H100-SXM", "count": gpus, "peak_tflops": 989.0, "memory_gib": 80.0, "watts": 1300.0, "mfu": 0.4,
            "pue": 1.2, "euros_per_gpu_hour": 2.2, "cost": "rent, electricity included", "co2_grams_per_kwh": 50.0,
            "source": "a data sheet"}  # fmt: skip
    return {"name": name, "farm": farm, "parameters": parameters, "active_parameters": active, "tokens": tokens,
            "flops_per_token": per_token, "flops": per_token * tokens, "gpu_hours": gpu_hours,
            "hours": gpu_hours / gpus, "euros": gpu_hours * 2.2, "kwh": gpu_hours * 1.3 * 1.2,
            "co2_kg": gpu_hours * 1.3 * 1.2 * 0.05, "fits": True, "wrong_mix": wrong,
            "memory_gib": memory | {"total": sum(memory.values()), "available": 80.0}}  # fmt: skip


def _write_train(run: Run, draft: Path) -> dict[str, int]:
    model = run.recipe.model.model_copy(update={"vocab_size": run.recipe.tokenize.vocab_size})
    steps, per_step = run.recipe.train.num_steps, run.recipe.train.tokens_per_step
    # Written at once, not by metrics.append: an fsync a line would take longer than all the rest together.
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        loss = 1.9 + 4.1 * (1 + step / 12) ** -0.7 + run.rng.gauss(0, 0.03)
        rate = 1e-3 * min(step / (0.05 * steps), 0.55 + 0.45 * float(np.cos(np.pi * step / steps)))
        rows.append({"step": step, "tokens": step * per_step, "loss": loss, "aux_loss": 1.01, "z_loss": 0.4,
                     "grad_norm": 0.9, "learning_rate": rate, "tokens_per_second": 12_000.0,
                     "gflops_per_second": 2.2, "seconds": step * per_step / 12_000})  # fmt: skip
        if step % (steps // 5) == 0:
            losses = {name: floor(name) + 1.6 * (1 + step / 20) ** -0.6 for name in run.recipe.source_names}
            rows.append({"step": step, "validation": losses})
    (draft / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checkpoint = draft / "checkpoints" / f"step-{steps}"
    checkpoint.mkdir(parents=True)
    save_file(weights(model.model_dump()), checkpoint / "model.safetensors")
    save_file({"step": np.array([steps])}, checkpoint / "optimiser.safetensors")
    write_json(checkpoint / "state.json", {"step": steps})
    write_json(draft / "config.json", model.model_dump(mode="json"))
    mixture = json.loads((run / "mix" / "mixture.json").read_text())
    write_json(draft / "summary.json", {
        "steps": steps, "tokens": steps * per_step, "flops": 6.0 * 31_000 * steps * per_step, "final_loss": loss,
        "epochs": mixture["epochs"], "checkpoint": f"checkpoints/step-{steps}",
        "tokens_by_source": {name: int(share * steps * per_step) for name, share in mixture["weights"].items()},
    })  # fmt: skip
    return {"steps": steps, "tokens": steps * per_step}


def weights(model: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Random float32 weights in the MixtralForCausalLM layout of Hugging Face."""
    rng = np.random.default_rng(0)
    hidden, ffn, vocab = model["hidden_size"], model["ffn_size"], model["vocab_size"]
    head = model["head_size"] or hidden // model["num_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.norm.weight": (hidden,)}
    shapes["model.embed_tokens.weight"] = shapes["lm_head.weight"] = (vocab, hidden)
    for layer in range(model["num_layers"]):
        at = f"model.layers.{layer}"
        shapes[f"{at}.input_layernorm.weight"] = shapes[f"{at}.post_attention_layernorm.weight"] = (hidden,)
        for name, heads in (("q", "num_heads"), ("k", "num_kv_heads"), ("v", "num_kv_heads")):
            shapes[f"{at}.self_attn.{name}_proj.weight"] = (model[heads] * head, hidden)
        shapes[f"{at}.self_attn.o_proj.weight"] = (hidden, model["num_heads"] * head)
        shapes[f"{at}.block_sparse_moe.gate.weight"] = (model["num_experts"], hidden)
        for expert in range(model["num_experts"]):
            for name, shape in (("w1", (ffn, hidden)), ("w2", (hidden, ffn)), ("w3", (ffn, hidden))):
                shapes[f"{at}.block_sparse_moe.experts.{expert}.{name}.weight"] = shape
    return {name: rng.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes.items()}


def _write_evaluate(run: Run, draft: Path) -> dict[str, int]:
    index = json.loads((run / "tokenize" / "index.json").read_text())["sources"]
    scores, sent = {}, {}
    rng = np.random.default_rng(run.recipe.seed)
    for number, name in enumerate(run.recipe.source_names):
        loss, spread = floor(name) + 0.21, 0.02 + 0.01 * number
        scores[name] = {"bits_per_byte": loss, "interval": [loss - spread, loss + spread], **index[name]["validation"]}
        shares = rng.dirichlet([6.0] * run.recipe.model.num_experts, size=run.recipe.model.num_layers)
        sent[name] = np.stack([[rng.multinomial(500, layer) for layer in shares] for _ in range(12)])
    target = target_loss(
        {name: score["bits_per_byte"] for name, score in scores.items()}, TARGETS[run.recipe.source_names]
    )
    samples = [
        {"prompt": "The ", "text": SAMPLE},
        {"prompt": "def ", "text": "melt(gold):\n    return gold + fire  # " + "long " * 30},
    ]
    load = {name: specialisation.shares(counts.sum(axis=0)).tolist() for name, counts in sent.items()}
    write_json(draft / "scores.json", {
        "confidence": 0.95, "sources": scores, "expert_load": load, "samples": samples,
        "specialisation": specialisation.summarise(sent, run.recipe.seed),
        "target": {"bits_per_byte": target, "interval": [target - 0.018, target + 0.018]},
    })  # fmt: skip
    return {"documents": sum(score["documents"] for score in scores.values())}


def _write_release(run: Run, draft: Path) -> dict[str, int]:
    import libtorrent

    name = run.recipe.release.model_name or run.recipe.name
    folder = draft / name
    folder.mkdir()
    checkpoint = run / "train" / json.loads((run / "train" / "summary.json").read_text())["checkpoint"]
    shutil.copy(checkpoint / "model.safetensors", folder)
    shutil.copy(run / "tokenize" / "tokenizer.json", folder)
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        write_json(folder / file, {"model_type": "mixtral"})
    (folder / "README.md").write_text(f"# {name}\n")
    (folder / "LICENSE").write_text(f"{run.recipe.release.licence}\n")
    sums = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(sums))
    torrent = libtorrent.create_torrent(libtorrent.list_files(str(folder)))
    libtorrent.set_piece_hashes(torrent, str(draft))
    data = libtorrent.bencode(torrent.generate())
    (draft / f"{name}.torrent").write_bytes(data)
    magnet = libtorrent.make_magnet_uri(libtorrent.torrent_info(libtorrent.bdecode(data)))
    (draft / "magnet.txt").write_text(magnet + "\n")
    return {"files": len(sums) + 1}


WRITERS = {"curate": write_curate, "tokenize": write_tokenize, "plan": _write_plan, "train": _write_train,
           "evaluate": _write_evaluate, "release": _write_release}  # fmt: skip


def _inputs(run: Run, stage: str) -> dict[str, str]:
    return {name: artifact.require(run / name).digest() for name in READS[stage]} or {"sources": "0" * 64}


def _manifest(run: Run, stage: str, number: int, counts: dict[str, int], attempts: int) -> ledger.Manifest:
    inputs = _inputs(run, stage)
    flops = {"mix": 4.3e13, "train": 5.6e11, "evaluate": 2.0e11}.get(stage, 0.0)
    created = datetime(2026, 1, 5, 9, 0, tzinfo=UTC) + timedelta(minutes=11 * number)
    return ledger.Manifest(
        format=ledger.FORMAT, stage=stage, run=run.recipe.name, created=created.isoformat(), orfevre="0.1.0",
        code="0123456789ab", fingerprint=ledger.fingerprint(stage, {}, inputs, run.recipe.seed), depends={},
        inputs=inputs, outputs=artifact.outputs(artifact.partial(run / stage)), seed=run.recipe.seed, counts=counts,
        notes={}, attempts=2 if stage == "train" else attempts, wall_seconds=SECONDS[stage], flops=flops,
        energy_kwh=65.0 * SECONDS[stage] / 3.6e6, energy_method="estimate: machine.watts = 65 x wall time",
        peak_memory_mib=310.0 + 90.0 * number,
        machine={"processor": "Example CPU", "cores": "8", "memory_gib": "31.2", "system": "Linux x86_64",
                 "python": "3.11.9"},
    )  # fmt: skip
