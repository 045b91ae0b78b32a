"""What every data set must do, here on small files of its form: labels in range, the same arrays twice, one line."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.datasets import DATASETS, canonical_data, load_dataset, normalise
from compress.errors import CompressError
from compress.networks.resolve import resolve
from compress.spelling import defaults_of


def _sums(folder: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def _make_idx(folder: Path) -> None:
    for part, count in (("train", 20), ("t10k", 10)):
        pixels = (np.arange(count * 784) % 251).astype(np.uint8)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
    _sums(folder)


def _make_cifar(names: tuple[str, ...], label_bytes: int, folder: Path) -> None:
    for name in names:
        record = np.arange(10 * (3072 + label_bytes)).reshape(10, -1) % 251
        record[:, :label_bytes] = np.arange(10)[:, None]
        (folder / f"{name}.bin").write_bytes(record.astype(np.uint8).tobytes())
    _sums(folder)


def _make_folder(folder: Path) -> None:
    for label in range(10):
        (folder / f"class {label}").mkdir()
        for number in range(3):
            Image.new("L", (9, 7), 25 * label + number).save(folder / f"class {label}" / f"{number}.png")


_CIFAR_10 = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

MAKERS: dict[str, Callable[[Path], None]] = {
    "mnist": _make_idx,
    "fashion-mnist": _make_idx,
    "cifar-10": lambda folder: _make_cifar(_CIFAR_10, 1, folder),
    "cifar-100": lambda folder: _make_cifar(("train", "test"), 2, folder),
    "folder": _make_folder,
}


def test_every_data_set_is_made_here_in_small() -> None:
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_whole(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    dataset = load_dataset(name, tmp_path)
    assert dataset.name == name
    assert len(dataset.mean) == len(dataset.standard_deviation) == dataset.channels
    for examples in (dataset.train, dataset.test):
        assert examples.images.dtype == np.uint8
        assert examples.labels.dtype == np.int64
        assert examples.images.shape == (len(examples), dataset.channels, dataset.size, dataset.size)
        assert set(examples.labels.tolist()) == set(range(10))


@pytest.mark.parametrize("name", DATASETS)
def test_reading_twice_by_either_way_gives_the_same(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    first, second = load_dataset(name, tmp_path), load_dataset(f"{name}:{tmp_path}")
    for part in ("train", "test"):
        one, other = getattr(first, part), getattr(second, part)
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("network", ["lenet-300-100", "lenet-5", "vgg-lite"])
def test_networks_of_the_zoo_take_it(name: str, network: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    dataset = load_dataset(name, tmp_path)
    resolved = resolve(network, classes=dataset.classes, channels=dataset.channels, size=dataset.size)
    inputs = normalise(dataset, dataset.test.images, resolved.input_shape)
    assert inputs.shape == (len(dataset.test), *resolved.input_shape)
    assert np.isfinite(inputs).all()
    assert resolved.classes == dataset.classes


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_directory_and_one_that_is_not_there_get_one_line(name: str, tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CompressError) as caught:
            load_dataset(name, directory)
        message = str(caught.value)
        assert message.startswith(f"{directory}: found ")
        assert ", allowed " in message
        assert "\n" not in message


@pytest.mark.parametrize("name", DATASETS)
def test_its_name_is_its_one_form_and_its_options_are_known(name: str) -> None:
    assert canonical_data(name) == name
    assert canonical_data(f"{name}:some/where") == f"{name}:some/where"
    assert all(isinstance(default, bool | int | float | str) for default in defaults_of(DATASETS[name]).values())
