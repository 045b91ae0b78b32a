"""Laws of the element types: their order, their bytes and their numbers are those of NumPy and of ONNX."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compress.elements import ELEMENTS, Element, element_of_onnx, ordinals, raw_bytes

FLOATING = [element for element in ELEMENTS.values() if element.floating]
INTEGERS = [element for element in ELEMENTS.values() if not element.floating]
NARROW = {"int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4}


def every_pattern(element: Element) -> np.ndarray:
    """All values of a 16-bit type but NaN; of float32 those with the upper 16 bits, and their neighbours."""
    patterns = np.arange(1 << 16, dtype=np.uint32)
    if element.bits == 32:
        upper = patterns << 16
        patterns = np.unique(np.concatenate([upper, upper + 1, upper - 1]))
    values = patterns.astype(f"u{element.dtype.itemsize}").view(element.dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN, which leave as well
        return values[~np.isnan(values)]


def drawn(element: Element, size: int) -> np.ndarray:
    generator = np.random.default_rng(size)
    if element.floating:
        return generator.normal(size=size).astype(element.dtype)
    return generator.integers(element.low, element.high, size, element.dtype, endpoint=True)


@pytest.mark.parametrize("element", FLOATING, ids=lambda element: element.name)
def test_ordinals_order_floats_as_they_are_and_tell_zeros_apart(element: Element) -> None:
    values = every_pattern(element)
    numbers = ordinals(values)
    assert np.unique(numbers).size == values.size, "two that differ in a bit have different ordinals"
    ascending = values[np.argsort(numbers)].astype(np.float64)
    assert (ascending[1:] >= ascending[:-1]).all()
    equal = np.flatnonzero(ascending[1:] == ascending[:-1])
    assert ascending[equal].tolist() == [0.0], "only the two zeros are equal"
    negative, positive = ordinals(np.array([-0.0, 0.0], element.dtype))
    assert (negative, positive) == (-1, 0)


@pytest.mark.parametrize("element", INTEGERS, ids=lambda element: element.name)
def test_ordinals_of_integers_are_the_integers(element: Element) -> None:
    values = np.arange(element.low, element.high + 1, dtype=element.dtype)
    assert ordinals(values).tolist() == values.tolist()


@pytest.mark.parametrize("size", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("element", ELEMENTS.values(), ids=lambda element: element.name)
def test_raw_bytes_are_those_of_onnx(element: Element, size: int) -> None:
    values = drawn(element, size)
    found = raw_bytes(values, element.name)
    assert found == numpy_helper.from_array(values.astype(NARROW.get(element.name, element.dtype))).raw_data
    assert len(found) == element.stored_bytes(size)


@pytest.mark.parametrize("element", ELEMENTS.values(), ids=lambda element: element.name)
def test_raw_bytes_are_in_the_order_of_rows(element: Element) -> None:
    values = drawn(element, 15).reshape(3, 5)
    assert raw_bytes(values.T, element.name) == raw_bytes(np.ascontiguousarray(values.T).reshape(-1), element.name)


@pytest.mark.parametrize("element", [element for element in INTEGERS if element.bits == 4], ids=lambda own: own.name)
def test_every_four_bit_integer_comes_back_from_onnx(element: Element) -> None:
    values = np.arange(element.low, element.high + 1, dtype=element.dtype)[:-1]
    tensor = onnx.TensorProto(dims=values.shape, data_type=element.onnx, raw_data=raw_bytes(values, element.name))
    assert numpy_helper.to_array(tensor).astype(element.dtype).tolist() == values.tolist()


@pytest.mark.parametrize("element", ELEMENTS.values(), ids=lambda element: element.name)
def test_numbers_and_names_are_those_of_onnx(element: Element) -> None:
    assert onnx.TensorProto.DataType.Name(element.onnx) == {"float32": "FLOAT"}.get(element.name, element.name.upper())
    assert element_of_onnx(element.onnx) is element
    assert ELEMENTS[element.name] is element


def test_other_numbers_of_onnx_are_none_of_ours() -> None:
    ours = {element.onnx for element in ELEMENTS.values()}
    others = set(onnx.TensorProto.DataType.values()) - ours
    assert others
    assert {element_of_onnx(number) for number in others} == {None}
