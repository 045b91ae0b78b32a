"""Random changes of training images: exact by hand, the same as torchvision's, off by default."""

import numpy as np
import pytest
import torch

from compress.errors import UsageError
from compress.training.augment import Augmentation, augment


def _images(count: int = 6, channels: int = 1, height: int = 9, width: int = 9) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(3))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_happens_and_nothing_is_drawn_by_default() -> None:
    images, generator = _images(), _generator()
    assert not Augmentation()
    assert augment(images, generator, Augmentation()) is images
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=_generator()))


@pytest.mark.parametrize(
    "config",
    [
        Augmentation(flip=True),
        Augmentation(rotation=30),
        Augmentation(brightness=0.5),
        Augmentation(contrast=0.5),
        Augmentation(flip=True, rotation=10, brightness=0.2, contrast=0.2, mean=(0.3,), standard_deviation=(0.2,)),
    ],
)
def test_it_is_random_repeatable_and_leaves_what_it_was_given(config: Augmentation) -> None:
    images = _images(32)
    given = images.clone()
    first, again = (augment(images, _generator(), config) for _ in range(2))
    assert config
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(images, _generator(1), config))
    assert torch.equal(images, given)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert not torch.allclose(first, images)


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_rest() -> None:
    images = _images(400)
    found = augment(images, _generator(), Augmentation(flip=True))
    mirrored = torch.isclose(found, images.flip(-1)).flatten(1).all(1)
    kept = torch.isclose(found, images).flatten(1).all(1)
    assert torch.equal(mirrored, ~kept)
    assert 160 <= int(mirrored.sum()) <= 240


def test_a_turn_keeps_the_centre_and_brings_black_in() -> None:
    images = torch.ones(50, 1, 9, 9)
    config = Augmentation(rotation=45, mean=(0.5,), standard_deviation=(0.5,))
    found = augment(images, _generator(), config)
    assert torch.allclose(found[:, 0, 4, 4], torch.ones(50), atol=1e-5)
    assert float(found.min()) >= -1 - 1e-5
    assert float(found[:, 0, 0, 0].min()) == pytest.approx(-1, abs=1e-5)


def test_brightness_is_one_factor_for_an_image() -> None:
    images = _images(200, channels=3) * 0.5
    found = augment(images, _generator(), Augmentation(brightness=0.4))
    factors = (found / images).flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors), atol=1e-3)
    assert 0.6 <= float(factors.min()) < 0.65
    assert 1.35 < float(factors.max()) <= 1.4


def test_pixels_stay_between_black_and_white() -> None:
    config = Augmentation(brightness=1, contrast=1, mean=(0.25,), standard_deviation=(0.5,))
    found = augment((_images(200) - 0.25) / 0.5, _generator(), config)
    assert float(found.min()) >= -0.5 - 1e-6
    assert float(found.max()) <= 1.5 + 1e-6
    assert float(found.max()) == pytest.approx(1.5)


def test_contrast_keeps_the_mean_and_stretches_the_rest() -> None:
    images = 0.4 + 0.2 * _images(50)
    found = augment(images, _generator(), Augmentation(contrast=0.5))
    assert torch.allclose(found.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5)
    ratios = found.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.5 <= float(ratios.min()) < float(ratios.max()) <= 1.5


def test_standardised_images_change_as_their_pixels_do() -> None:
    mean, deviation = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    shift, scale = (torch.tensor(value).view(1, 3, 1, 1) for value in (mean, deviation))
    pixels = _images(8, channels=3)
    options = {"flip": True, "rotation": 20.0, "brightness": 0.3, "contrast": 0.3}
    plain = augment(pixels, _generator(), Augmentation(**options))
    standardised = augment(
        (pixels - shift) / scale, _generator(), Augmentation(**options, mean=mean, standard_deviation=deviation)
    )
    assert torch.allclose(standardised * scale + shift, plain, atol=1e-5)


def test_no_images_are_no_trouble() -> None:
    assert augment(torch.zeros(0, 1, 4, 4), _generator(), Augmentation(flip=True)).shape == (0, 1, 4, 4)


@pytest.mark.parametrize(
    ("field", "value", "limit"), [("rotation", 181.0, 180), ("brightness", -0.1, 1), ("contrast", float("nan"), 1)]
)
def test_values_outside_what_is_allowed_get_one_line(field: str, value: float, limit: int) -> None:
    with pytest.raises(UsageError) as caught:
        Augmentation(**{field: value})
    assert str(caught.value) == f"{field}: found {value}, allowed 0 to {limit}"


@pytest.mark.parametrize("shape", [(4, 3, 32, 32), (3, 1, 20, 31)])
def test_turns_and_colours_are_torchvisions(shape: tuple[int, int, int, int]) -> None:
    functional = pytest.importorskip("torchvision.transforms.v2.functional", exc_type=ImportError)
    transforms = pytest.importorskip("torchvision.transforms", exc_type=ImportError)
    images = torch.rand(shape, generator=_generator())

    def drawn(low: float, high: float) -> list[float]:
        return (torch.rand(len(images), generator=_generator(7)) * (high - low) + low).tolist()

    def each(function: object, values: list[float], **options: object) -> torch.Tensor:
        assert callable(function)
        return torch.stack([function(image, value, **options) for image, value in zip(images, values, strict=True)])

    bilinear = transforms.InterpolationMode.BILINEAR
    expected = {
        "rotation": (70.0, each(functional.rotate, drawn(-70, 70), interpolation=bilinear)),
        "brightness": (0.6, each(functional.adjust_brightness, drawn(0.4, 1.6))),
        "contrast": (0.6, each(functional.adjust_contrast, drawn(0.4, 1.6))),
    }
    for field, (reach, wanted) in expected.items():
        found = augment(images, _generator(7), Augmentation(**{field: reach}))
        assert np.abs((found - wanted).numpy()).max() <= 1e-4, field
