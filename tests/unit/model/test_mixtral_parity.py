"""The same weights in transformers' MixtralForCausalLM give the same logits, gradients and router loss."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.unit.model.reference import GROUPED, SHAPES, made, mixtral, published_names
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from orfevre import recipe
from orfevre.errors import UserError
from orfevre.model import losses, moe
from orfevre.model.moe import Routing
from orfevre.model.transformer import Transformer
from orfevre.weights.state import from_hugging_face, to_hugging_face


@pytest.mark.parametrize("changes", SHAPES)
def test_logits_equal_those_of_mixtral_for_causal_lm(changes: dict[str, Any], device: torch.device) -> None:
    model, ids = made(device, **changes)
    theirs = mixtral(model)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", SHAPES)
def test_float32_logits_are_as_near_to_float64_as_theirs(changes: dict[str, Any], device: torch.device) -> None:
    model, ids = made(device, **changes)
    theirs = mixtral(model)
    with torch.no_grad():
        ours, published = model(ids), theirs(input_ids=ids).logits
        exact = model.double()(ids)
    assert (ours - exact).norm() <= 2 * (published - exact).norm()


@pytest.mark.parametrize("changes", SHAPES)
def test_loss_and_gradients_equal_those_of_mixtral_for_causal_lm(changes: dict[str, Any], device: torch.device) -> None:
    model, ids = made(device, **changes, aux_loss_weight=0.5, z_loss_weight=0.0)
    theirs = mixtral(model)
    entropy, balance = their_losses(theirs, ids, model.config)
    (entropy + 0.5 * balance).backward()
    ours = model.losses(ids[:, :-1], ids[:, 1:])
    ours.total.backward()

    assert ours.cross_entropy.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert ours.load_balancing.item() == pytest.approx(balance.item(), rel=1e-5)
    for name, found, wanted in paired_gradients(model, theirs):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: name + text)


def their_losses(theirs: Any, ids: torch.Tensor, config: recipe.Model) -> tuple[torch.Tensor, torch.Tensor]:
    out = theirs(input_ids=ids[:, :-1], output_router_logits=True)
    entropy = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1).float(), ids[:, 1:].flatten())
    return entropy, balance_of_layers(out.router_logits, config)


def paired_gradients(model: Transformer, theirs: Any) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    if model.config.tie_embeddings:
        grads["output.weight"] = grads["embedding.weight"]
    found = to_hugging_face(grads, model.config)
    wanted = published_names({name: parameter.grad for name, parameter in theirs.named_parameters()})
    assert found.keys() == wanted.keys()
    return [(name, found[name], wanted[name]) for name in found]


def balance_of_layers(logits: Sequence[torch.Tensor], config: recipe.Model) -> torch.Tensor:
    """transformers' loss of each layer on its own, their mean: given all layers at once it pools them."""
    layers = [load_balancing_loss_func((layer,), config.num_experts, config.experts_per_token) for layer in logits]
    return torch.stack(layers).mean()


@contextmanager
def frozen_routing(choices: Sequence[torch.Tensor]) -> Iterator[None]:
    """Each layer's tokens go where `choices` say, whatever the router's rounded logits are: a token that flips to
    another expert is another model, and no tolerance would fit it."""
    left = iter(choices)
    route = moe.MixtureOfExperts.route

    def fixed(self: moe.MixtureOfExperts, x_TH: torch.Tensor, real_T: torch.Tensor | None = None) -> Routing:
        made = route(self, x_TH, real_T)
        chosen = next(left)
        picked = made.probabilities.gather(1, chosen)
        return Routing(made.logits, made.probabilities, picked / picked.sum(1, keepdim=True), chosen, real_T)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moe.MixtureOfExperts, "route", fixed)
        yield


@pytest.mark.parametrize("how", ["autocast", "weights"])
@pytest.mark.parametrize("changes", SHAPES)
def test_bfloat16_stays_within_two_hundredths_of_their_float32(
    changes: dict[str, Any], how: str, device: torch.device
) -> None:
    """Logits (as a share of the largest, where that is above 1); the gradient as a share of its norm (of one
    parameter's, thrice that). With the routing of float32."""
    model, ids = made(device, noise=0.0, **changes, aux_loss_weight=0.0, z_loss_weight=0.0)
    if model.config.tie_embeddings:  # which starts so small that the first norm would magnify roundings by twenty
        with torch.no_grad():
            model.embedding.weight.mul_(5)
    theirs = mixtral(model)
    wanted = theirs(input_ids=ids[:, :-1]).logits
    within = 2e-2 * max(1.0, float(wanted.detach().abs().max()))
    torch.nn.functional.cross_entropy(wanted.flatten(0, 1), ids[:, 1:].flatten()).backward()
    with torch.no_grad():
        choices = [routing.chosen for routing in model.hidden(ids[:, :-1])[1]]
    if how == "weights":
        model.to(torch.bfloat16)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=how == "autocast")
    with autocast, torch.no_grad(), frozen_routing(choices):
        torch.testing.assert_close(model(ids[:, :-1]).float(), wanted, atol=within, rtol=2e-2)
    with autocast, frozen_routing(choices):
        model.losses(ids[:, :-1], ids[:, 1:]).total.backward()
    pairs = paired_gradients(model, theirs)
    for name, ours, exact in pairs:
        assert (ours.float() - exact).norm() <= 6e-2 * exact.norm() + 1e-6, name
    all_ours, all_exact = (torch.cat([pair[i].flatten().float() for pair in pairs]) for i in (1, 2))
    assert (all_ours - all_exact).norm() <= 2e-2 * all_exact.norm()


@pytest.mark.parametrize("changes", [GROUPED, GROUPED | {"sliding_window": 7}])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_their_attention_mask(changes: dict[str, Any], side: str, device: torch.device) -> None:
    model, ids = made(device, **changes)
    real = torch.ones_like(ids, dtype=torch.bool)
    for row, pads in enumerate((0, 3, 11)):
        real[row, slice(0, pads) if side == "left" else slice(20 - pads, 20)] = False
    segments = torch.where(real, 0, -1)
    with torch.no_grad():
        ours = model(ids, segments_BC=segments)
        theirs = mixtral(model)(input_ids=ids, attention_mask=real.long(), output_router_logits=True)
        _, routings = model.hidden(ids, None, segments)
    torch.testing.assert_close(ours[real], theirs.logits[real], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(losses.load_balancing(routings, pooled=True), theirs.aux_loss)


@pytest.mark.parametrize("changes", SHAPES)
def test_load_balancing_is_transformers_of_each_layer_and_pooled_of_all(changes: dict[str, Any]) -> None:
    model, ids = made(**changes)
    _, routings = model.hidden(ids)
    logits = [routing.logits for routing in routings]
    torch.testing.assert_close(losses.load_balancing(routings), balance_of_layers(logits, model.config))
    theirs = load_balancing_loss_func(tuple(logits), model.config.num_experts, model.config.experts_per_token)
    torch.testing.assert_close(losses.load_balancing(routings, pooled=True), theirs)


def test_a_layer_that_leans_one_way_is_not_forgiven_for_one_that_leans_the_other() -> None:
    def leaning(expert: int) -> Routing:
        logits = torch.zeros(8, 2)
        logits[:, expert] = 3.0
        return Routing(logits, logits.softmax(-1), torch.ones(8, 1), torch.full((8, 1), expert))

    assert losses.load_balancing([leaning(0), leaning(1)]) > 1.9
    assert losses.load_balancing([leaning(0), leaning(1)], pooled=True).item() == pytest.approx(1)  # passes for even


@pytest.mark.parametrize("changes", SHAPES)
def test_names_go_there_and_back(changes: dict[str, Any]) -> None:
    model, _ = made(**changes)
    state = model.state_dict()
    there = to_hugging_face(state, model.config)
    back = from_hugging_face(there, model.config)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    with pytest.raises(ValueError, match="extra"):
        from_hugging_face(there | {"extra": torch.zeros(1)}, model.config)
    with pytest.raises(KeyError, match=r"experts\.0\.w1"):
        from_hugging_face({n: t for n, t in there.items() if "experts.0.w1" not in n}, model.config)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"shared_experts": 2}, r"model\.shared_experts = 2"),
        ({"qk_norm": True}, r"model\.qk_norm = true"),
        ({"router": "sigmoid"}, r'model\.router = "sigmoid"'),
        ({"balancing": "bias"}, r'model\.balancing = "bias"'),
        ({"qk_norm": True, "balancing": "bias"}, r'model\.qk_norm = true.*nor for model\.balancing = "bias"'),
    ],
)
def test_what_mixtral_cannot_say_is_refused_by_its_key(option: dict[str, Any], words: str) -> None:
    model, _ = made(**GROUPED, **option)
    with pytest.raises(UserError, match=words):
        to_hugging_face(model.state_dict(), model.config)


def test_blocks_that_look_ahead_are_left_out_of_what_is_published(device: torch.device) -> None:
    model, ids = made(device, **GROUPED, mtp_depth=2)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), mixtral(model)(input_ids=ids).logits, atol=1e-4, rtol=1e-4)
