"""Weights go through safetensors unchanged, and foreign or broken ones are named."""

from pathlib import Path

import numpy as np
import pytest

from compress.errors import WeightsError
from compress.networks.weights import check_weights
from compress.training.checkpoint import dump_weights, read_weights


def test_weights_come_back(tmp_path: Path) -> None:
    weights = {"b": np.float32([[1, -0.0], [3, 4]]), "a": np.zeros((0, 3), np.float32)}
    (tmp_path / "w").write_bytes(dump_weights(weights))
    found = read_weights(tmp_path / "w")
    assert {name: array.tobytes() for name, array in found.items()} == {k: v.tobytes() for k, v in weights.items()}
    assert dump_weights(dict(reversed(weights.items()))) == dump_weights(weights)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    array = np.zeros((2, 3), np.float32)
    array[1, 2] = value
    (tmp_path / "w").write_bytes(dump_weights({"f6.weight": array}))
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w")
    assert str(caught.value) == f"{tmp_path / 'w'}: found {value} in f6.weight at index [1, 2], allowed finite weights"


@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage", b"\xff" * 64])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w")
    assert str(caught.value).startswith(f"{tmp_path / 'w'}: found no valid safetensors file (")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w")
    assert str(caught.value) == f"{tmp_path / 'w'}: cannot be read (No such file or directory)"


def test_a_checkpoint_of_another_network_is_told_apart() -> None:
    parameters = {"a.weight": (2, 3), "a.bias": (2,)}
    good = {name: np.zeros(shape, np.float32) for name, shape in parameters.items()}
    check_weights(good, parameters, "net")
    cases = {
        "net: found no a.bias, allowed a checkpoint of this network: a.weight, a.bias": {"a.weight": good["a.weight"]},
        "net: found a.bias of shape (3,), allowed (2,)": {**good, "a.bias": np.zeros(3, np.float32)},
        "net: found c, allowed only what this network has: a.weight, a.bias": {**good, "c": np.zeros(1, np.float32)},
    }
    for message, weights in cases.items():
        with pytest.raises(WeightsError) as caught:
            check_weights(weights, parameters, "net")
        assert str(caught.value) == message
