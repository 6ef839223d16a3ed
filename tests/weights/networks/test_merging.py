"""Networks in a loaded model: merged by their definition, taken out bit for bit, whatever happened in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modules.files import found_file
from modules.hardware.fp8_weights import store_in_8_bits
from modules.weights.checkpoint import load_checkpoint
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.model import Model
from modules.weights.networks.merging import AppliedNetwork, NetworkMerger
from modules.weights.networks.reading import Network
from modules.weights.networks.updates import Layer, layer_update
from tests.checkpoints import write_tiny_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_checkpoint(
        write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"),
        dtype=request.param,
        channels_last=True,
    )


def modules_of(model: Model) -> dict[str, nn.Module]:
    """Some layers of the UNet and of the text encoder, by a spelling of their names."""
    unet = {f"unet.{name}": module for name, module in model.unet.named_modules()}
    text = {f"text_encoder.text_model.{name}": module for name, module in model.text_encoders[0].named_modules()}
    wanted = ("to_q", "to_k", "to_out.0", "conv1", "norm1", "proj_in", "q_proj", "fc1")
    return {name: module for name, module in (unet | text).items() if name.endswith(wanted)}


def parts_for(weight: Tensor, number: int, generator: torch.Generator) -> dict[str, Tensor]:
    """A layer of a kind that turns with `number`, for a weight of this shape."""

    def drawn(*shape: int) -> Tensor:
        return 0.05 * torch.randn(*shape, generator=generator)

    if weight.ndim == 1:
        return {"w_norm": drawn(*weight.shape), "b_norm": drawn(*weight.shape)}
    out, flat = weight.shape[0], weight[0].numel()
    low_rank = {"up": drawn(out, 2), "down": drawn(2, flat), "alpha": torch.tensor(1.0)}
    match number % 4:
        case 0:
            return low_rank
        case 1:
            return {"diff": drawn(*weight.shape), "diff_b": drawn(out)}
        case 2 if weight.ndim == 2:
            return low_rank | {"dora_scale": 1 + drawn(out, 1).abs()}
        case _:
            first = {"hada_w1_a": drawn(out, 2), "hada_w1_b": drawn(2, flat)}
            return first | {"hada_w2_a": drawn(out, 2), "hada_w2_b": drawn(2, flat), "alpha": torch.tensor(2.0)}


def network(model: Model, seed: int) -> Network:
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, Layer] = {}
    for number, (name, module) in enumerate(modules_of(model).items()):
        # Each network has layers of its own, and some that others have too.
        if number % 5 != seed:
            layers[name] = layer_update(parts_for(_weight(module), number + seed, generator))
    return Network(Path(f"{seed}.safetensors"), layers, {}, {}, 0, "")


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def applied(networks: Mapping[int, Network], *chosen: tuple[int, float, float]) -> list[AppliedNetwork]:
    return [AppliedNetwork(seed, networks[seed], text, unet) for seed, text, unet in chosen]


def parameters(model: Model) -> dict[str, Tensor]:
    parts = {"unet": model.unet, "text": model.text_encoders[0]}
    return {f"{part}.{name}": one.data for part, module in parts.items() for name, one in module.named_parameters()}


def copied(model: Model) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in parameters(model).items()}


def same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.fixture(scope="module")
def networks(model: Model) -> dict[int, Network]:
    return {seed: network(model, seed) for seed in range(3)}


@pytest.fixture
def plain(model: Model) -> Iterator[dict[str, Tensor]]:
    before = copied(model)
    yield before
    assert same(parameters(model), before)


multipliers = st.sampled_from([0.0, 0.5, 1.0, -0.7])
choices = st.lists(st.tuples(st.integers(0, 2), multipliers, multipliers), max_size=3, unique_by=lambda one: one[0])


@settings(max_examples=8)
@given(sequence=st.lists(choices, min_size=1, max_size=5), saves=st.booleans())
def test_after_any_sequence_the_weights_are_those_of_the_last_networks_alone(
    model: Model, networks: dict[int, Network], sequence: list[Any], saves: bool
) -> None:
    """Also where there is no memory for originals, and the file is read again."""
    before = copied(model)
    merger = NetworkMerger(model, CPU, lambda needed: saves)
    for chosen in sequence:
        merger.apply(applied(networks, *chosen))
    after = copied(model)
    merger.restore()
    assert same(parameters(model), before)
    fresh = NetworkMerger(model, CPU)
    fresh.apply(applied(networks, *sequence[-1]))
    assert same(parameters(model), after)
    assert fresh.saved_bytes == 0 or any(te or unet for _, te, unet in sequence[-1])
    fresh.restore()
    assert fresh.saved_bytes == 0


def test_the_weights_are_the_originals_and_the_sum_of_what_the_networks_say(
    model: Model, networks: dict[int, Network], plain: dict[str, Tensor]
) -> None:
    merger = NetworkMerger(model, CPU)
    merger.apply(applied(networks, (0, 0.5, 0.8), (1, 1.0, -0.3)))
    changed = 0
    for name, module in modules_of(model).items():
        original = plain[name.replace("text_encoder.text_model.", "text.") + ".weight"].float().contiguous()
        expected = original
        for seed, text, unet in ((0, 0.5, 0.8), (1, 1.0, -0.3)):
            layer = networks[seed].layers.get(name)
            if layer is not None and layer.weight is not None:
                expected = expected + (text if name.startswith("text") else unet) * layer.weight.delta(expected)
        found = _weight(module).float()
        exact = 1e-6 if _weight(module).dtype == torch.float32 else 8e-3
        assert torch.allclose(found, expected, atol=exact, rtol=exact), name
        changed += not torch.equal(found, original)
    assert changed > len(modules_of(model)) // 2
    merger.restore()


def test_only_what_changes_is_merged_anew(
    model: Model, networks: dict[int, Network], plain: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    merger = NetworkMerger(model, CPU)
    merger.apply(applied(networks, (0, 1.0, 1.0)))
    written: list[int] = []
    original = NetworkMerger._into

    def counted(*arguments: Any, **named: Any) -> Any:
        written.append(1)
        return original(*arguments, **named)

    monkeypatch.setattr(NetworkMerger, "_into", counted)
    merger.apply(applied(networks, (0, 1.0, 1.0)))
    assert not written
    merger.apply(applied(networks, (0, 0.5, 1.0)))
    encoder = [name for name in networks[0].layers if name.startswith("text")]
    assert len(encoder) <= len(written) <= 2 * len(encoder)
    merger.restore()


def test_what_fails_halfway_leaves_the_weights_as_they_were(
    model: Model, networks: dict[int, Network], plain: dict[str, Tensor]
) -> None:
    class Failing:
        tensors: tuple[Tensor, ...] = ()
        mixes_rows = False

        def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
            self.delta(weight)

    last = list(networks[0].layers)[-1]
    broken = replace(networks[0], layers={**networks[0].layers, last: Layer(Failing(), None)})
    merger = NetworkMerger(model, CPU)
    merger.apply(applied(networks, (1, 1.0, 1.0)))
    with pytest.raises(RuntimeError, match="can't allocate"):
        merger.apply([AppliedNetwork("broken", broken)])
    assert same(parameters(model), plain)
    assert merger.applied == () and merger.saved_bytes == 0


def test_originals_are_not_taken_from_a_file_that_has_been_replaced(
    tmp_path: Path, networks: dict[int, Network]
) -> None:
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    own, found = load_checkpoint(path), found_file(path)
    assert found is not None
    merger = NetworkMerger(own, CPU, lambda needed: False, found.state)
    before = copied(own)
    merger.apply(applied(networks, (0, 1.0, 1.0)))
    merger.apply(applied(networks, (1, 1.0, 0.5)))
    assert merger.saved_bytes == 0
    merger.restore()
    assert same(parameters(own), before)
    merger.apply(applied(networks, (0, 1.0, 1.0)))
    write_tiny_checkpoint(path, seed=5)
    with pytest.raises(CheckpointError, match="has been replaced"):
        merger.apply([])


def test_layers_that_do_not_fit_are_left_out_and_counted(
    model: Model, networks: dict[int, Network], plain: dict[str, Tensor]
) -> None:
    name = next(name for name in networks[0].layers if name.endswith("to_q"))
    wrong = layer_update({"up": torch.ones(3, 2), "down": torch.ones(2, 5)})
    odd = replace(networks[0], layers={**networks[0].layers, name: wrong, "lora_unet_nowhere": wrong})
    one = AppliedNetwork("odd", odd)
    # One that acts from a later step on is not in the weights yet.
    later = replace(one, unet=0.0)
    for first, live in ((one, False), (one, True), (later, False), (later, True)):
        # What an earlier one found out is remembered.
        merger = NetworkMerger(model, CPU)
        merger.apply([first], while_computing=live)
        fit = merger.fit(one)
        assert (fit.missing, fit.misshapen, fit.found) == (1, 1, len(odd.layers) - 2)
        merger.restore()


def test_a_bias_that_does_not_fit_is_found_out_before_a_forward(model: Model, plain: dict[str, Tensor]) -> None:
    name = next(name for name in modules_of(model) if name.endswith("conv1"))
    update = layer_update({"diff": torch.zeros_like(_weight(modules_of(model)[name])).float(), "diff_b": torch.ones(3)})
    one = AppliedNetwork("bias", Network(Path("bias.safetensors"), {name: update}, {}, {}, 0, ""))
    for live in (True, False):
        merger = NetworkMerger(model, CPU)
        before = predicted(model, merger)
        merger.apply([one], while_computing=live)
        assert merger.fit(one).misshapen == 1
        torch.testing.assert_close(predicted(model, merger), before, rtol=2e-2, atol=2e-2)
        merger.restore()


def test_of_a_layer_half_of_which_does_not_fit_the_other_half_acts_each_time(
    model: Model, plain: dict[str, Tensor]
) -> None:
    name, module = next((name, one) for name, one in modules_of(model).items() if name.endswith("to_out.0"))
    weight, bias = _weight(module), module.get_parameter("bias")
    low_rank = layer_update({"up": torch.ones(weight.shape[0], 1), "down": torch.ones(1, weight.shape[1])}).weight
    half = Network(Path("half"), {name: Layer(low_rank, torch.ones(bias.shape[0] + 1))}, {}, {}, 0, "")
    merger = NetworkMerger(model, CPU)
    merger.apply([AppliedNetwork("half", half)])
    changed = weight.clone()
    assert not torch.equal(changed, plain[f"{name}.weight"])
    merger.apply([])
    merger.apply([AppliedNetwork("half", half)])
    assert torch.equal(weight, changed)
    assert merger.fit(AppliedNetwork("half", half)).misshapen == 1
    merger.apply([AppliedNetwork("half", half, unet=0.5)])
    merger.apply([AppliedNetwork("half", half)])
    assert torch.equal(weight, changed)
    merger.restore()


def predicted(model: Model, merger: NetworkMerger) -> Tensor:
    """What the UNet says to some latent, with a text that the text encoder encodes."""
    generator = torch.Generator().manual_seed(3)
    latent = torch.randn(1, 4, 8, 8, generator=generator).to(model.unet.dtype)
    with torch.inference_mode(), merger.computing():
        context = model.text_encoders[0](torch.arange(77)[None]).last_hidden_state
        answer: Tensor = model.unet(latent, 500, encoder_hidden_states=context, return_dict=False)[0]
    return answer.float()


def test_beside_the_weights_gives_the_same_as_in_them(
    model: Model, networks: dict[int, Network], plain: dict[str, Tensor]
) -> None:
    wanted = applied(networks, (0, 0.5, 0.8), (1, 1.0, -0.3), (2, 1.0, 1.0))
    merger = NetworkMerger(model, CPU)
    bare = predicted(model, merger)
    merger.apply(wanted)
    merged = predicted(model, merger)
    merger.apply(wanted, while_computing=True)
    assert same(parameters(model), plain)
    assert torch.equal(predicted(model, merger), merged)
    assert not torch.allclose(merged, bare, atol=1e-2)
    merger.restore()
    assert torch.equal(predicted(model, merger), bare)


def test_a_bias_is_added_where_a_layer_has_none(model: Model, plain: dict[str, Tensor]) -> None:
    name, module = next((name, one) for name, one in modules_of(model).items() if name.endswith("to_q"))
    assert module.bias is None
    layer = layer_update({"diff": torch.zeros_like(_weight(module), dtype=torch.float32), "diff_b": torch.ones(64)})
    if layer.bias is not None and layer.bias.numel() != _weight(module).shape[0]:
        layer = Layer(layer.weight, torch.ones(_weight(module).shape[0]))
    merger = NetworkMerger(model, CPU)
    merger.apply([AppliedNetwork("bias", Network(Path("bias"), {name: layer}, {}, {}, 0, ""), 1.0, 0.5)])
    x = torch.randn(1, 2, _weight(module).shape[1]).to(_weight(module).dtype)
    without = module(x)
    with merger.computing():
        assert torch.equal(module(x), without + 0.5)
    merger.restore()


def test_a_network_on_8_bit_weights_loses_nothing_to_their_rounding(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    store_in_8_bits(model.unet)
    stored = {name: one.clone() for name, one in model.unet.named_parameters()}
    merger = NetworkMerger(model, CPU)
    bare = predicted(model, merger)
    network_of = network(model, 0)
    # So little that rounding to 8 bits would swallow most of it.
    merger.apply([AppliedNetwork("little", network_of, 0.0, 1e-2)])
    little = predicted(model, merger) - bare
    merger.apply([AppliedNetwork("little", network_of, 0.0, 2e-2)])
    double = predicted(model, merger) - bare
    assert little.abs().max() > 1e-5
    assert torch.allclose(double, 2 * little, atol=0.1 * float(little.abs().max()))
    assert all(
        torch.equal(one.view(torch.uint8), stored[name].view(torch.uint8)) if one.dtype.itemsize == 1 else True
        for name, one in model.unet.named_parameters()
    )
    merger.restore()
    assert torch.equal(predicted(model, merger), bare)
