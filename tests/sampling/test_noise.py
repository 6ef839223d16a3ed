"""Seeds give A1111's noise, each image its own, whatever the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.sampling.noise import ImageNoise, Variation, open_stream, paste_centred, slerp
from modules.settings.choices import NoiseSource

SHAPE = (4, 64, 64)
SMALL = (4, 6, 5)


def head(noise: torch.Tensor) -> list[float]:
    return noise.flatten()[:4].tolist()


# The first four values of a (4, 64, 64) draw, recorded from A1111.
@pytest.mark.parametrize(
    ("source", "seed", "draws"),
    [
        ("CPU", 0, [[-1.1258, -1.1524, -0.2506, -0.4339]]),
        (
            "CPU",
            42,
            [
                [1.9269, 1.4873, 0.9007, -2.1055],
                [-1.3047, 1.4507, 0.2443, -0.2799],
                [-0.7838, -0.3569, -1.3868, 1.4457],
            ],
        ),
        ("CPU", 43, [[-0.0166, -0.4668, 2.0909, 0.6149]]),
        ("NV", 0, [[-0.9247, -0.4253, -2.6438, 0.1452]]),
        ("NV", 42, [[0.1940, 2.1614, -0.1721, 0.8491], [0.1391, -0.1082, -0.7174, 0.7566]]),
        ("NV", 43, [[1.9983, 1.9810, 1.4458, 1.9813]]),
    ],
)
def test_golden_draws(source: NoiseSource, seed: int, draws: list[list[float]]) -> None:
    noise = ImageNoise(SHAPE, [seed], source=source)
    for expected in draws:
        assert head(noise.draw()) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("source", "expected"), [("CPU", [1.7342, 1.1067, 1.9156, -1.7275]), ("NV", [1.1389, 2.6817, 0.4816, 1.7738])]
)
def test_golden_variation(source: NoiseSource, expected: list[float]) -> None:
    noise = ImageNoise(SHAPE, [42], source=source, variation=Variation((43,), 0.3))
    assert head(noise.draw()) == pytest.approx(expected, abs=6e-5)
    # Later draws are the image's own, without variation.
    own = ImageNoise(SHAPE, [42], source=source)
    own.draw()
    assert torch.equal(noise.draw(), own.draw())


@pytest.mark.parametrize(
    ("source", "expected"), [("CPU", [0.5419, -1.0649, -0.8481, -0.0267]), ("NV", [-1.0426, 0.2067, 0.8093, -0.0306])]
)
def test_golden_seed_delta_opens_new_streams_after_the_first_draw(source: NoiseSource, expected: list[float]) -> None:
    noise, plain = ImageNoise(SHAPE, [42], source=source, seed_delta=31337), ImageNoise(SHAPE, [42], source=source)
    assert torch.equal(noise.draw(), plain.draw())
    assert head(noise.draw()) == pytest.approx(expected, abs=6e-5)


@given(
    seeds=st.lists(st.integers(0, 2**32 + 5), min_size=1, max_size=4),
    source=st.sampled_from(["CPU", "NV", "GPU"]),
    strength=st.sampled_from([0.0, 0.3, 1.0]),
    resize=st.sampled_from([None, (6, 5), (3, 9), (8, 8), (7, 2)]),
    delta=st.sampled_from([0, 31337]),
)
def test_an_image_in_a_batch_is_the_image_alone(
    seeds: list[int], source: NoiseSource, strength: float, resize: tuple[int, int] | None, delta: int
) -> None:
    def noise(own: list[int]) -> ImageNoise:
        variation = Variation(tuple(seed + 100 for seed in own), strength)
        return ImageNoise(SMALL, own, source=source, variation=variation, resize_from=resize, seed_delta=delta)

    whole = noise(seeds)
    draws = [whole.draw() for _ in range(3)]
    for index, seed in enumerate(seeds):
        alone, split = noise([seed]), noise(seeds).of_image(index)
        for draw in draws:
            assert torch.equal(draw[index], alone.draw()[0])
            assert torch.equal(draw[index], split.draw()[0])


def test_on_the_cpu_the_gpu_source_is_the_cpu_source() -> None:
    device = torch.device("cpu")
    assert torch.equal(open_stream(5, "GPU", device).draw(SMALL), open_stream(5, "CPU", device).draw(SMALL))


def test_draws_do_not_touch_torchs_own_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for source in ("CPU", "NV", "GPU"):
        noise = ImageNoise(SMALL, [1, 2], source=source, variation=Variation((5, 6), 0.5))
        noise.draw()
        noise.draw()
    assert torch.equal(before, torch.get_rng_state())


def test_slerp_ends_are_the_noises_and_the_middle_keeps_the_length() -> None:
    low, high = ImageNoise(SHAPE, [1], source="CPU").draw()[0], ImageNoise(SHAPE, [2], source="CPU").draw()[0]
    assert torch.allclose(slerp(0.0, low, high), low, atol=1e-6)
    assert torch.allclose(slerp(1.0, low, high), high, atol=1e-6)
    middle = slerp(0.5, low, high)
    assert float(middle.std()) == pytest.approx(1, abs=0.05)


def test_slerp_of_nearly_equal_noises_mixes_the_wrong_way_round_as_a1111_does() -> None:
    low = ImageNoise(SMALL, [1], source="CPU").draw()[0]
    high = low * 1.01
    assert torch.allclose(slerp(0.25, low, high), low * 0.25 + high * 0.75)


def test_seed_resize_puts_the_other_sizes_noise_in_the_middle() -> None:
    other = ImageNoise((4, 4, 3), [9], source="CPU").draw()[0]
    own = ImageNoise((4, 8, 9), [9], source="CPU").draw()[0]
    resized = ImageNoise((4, 8, 9), [9], source="CPU", resize_from=(4, 3)).draw()[0]
    assert torch.equal(resized[:, 2:6, 3:6], other)
    resized[:, 2:6, 3:6] = own[:, 2:6, 3:6]
    assert torch.equal(resized, own)


def test_seed_resize_from_a_larger_size_keeps_its_middle() -> None:
    other = ImageNoise((4, 12, 9), [9], source="CPU").draw()[0]
    resized = ImageNoise((4, 8, 9), [9], source="CPU", resize_from=(12, 9)).draw()[0]
    assert torch.equal(resized, other[:, 2:10])


@given(st.tuples(*[st.integers(1, 9)] * 4))
def test_pasting_never_fails_and_keeps_the_canvas_size(sizes: tuple[int, int, int, int]) -> None:
    patch, canvas = torch.ones(2, sizes[0], sizes[1]), torch.zeros(2, sizes[2], sizes[3])
    pasted = paste_centred(patch, canvas)
    assert pasted.shape == canvas.shape
    assert float(pasted.sum()) <= 2 * sizes[0] * sizes[1]
    if sizes[0] <= sizes[2] and sizes[1] <= sizes[3]:
        assert float(pasted.sum()) == 2 * sizes[0] * sizes[1]
    assert not canvas.any()


def test_too_few_variation_seeds_are_named() -> None:
    with pytest.raises(ValueError, match="2 seeds need as many variation seeds, but 1"):
        ImageNoise(SMALL, [1, 2], variation=Variation((3,), 0.5))


def test_only_the_first_draw_is_changed_also_of_one_image_alone() -> None:
    plain = ImageNoise((4, 8, 8), [1, 2], source="CPU")
    changed = ImageNoise((4, 8, 8), [1, 2], source="CPU", change_first=lambda drawn: drawn * 2)
    alone = changed.of_image(1)
    first = plain.draw()
    assert torch.equal(changed.draw(), first * 2) and torch.equal(alone.draw(), first[1:] * 2)
    assert torch.equal(changed.draw(), plain.draw())
