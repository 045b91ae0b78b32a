"""The element types that a tensor of a network may have: what each is called, and how it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from compress.names import known_name

__all__ = ["ELEMENTS", "Element", "element_of_onnx", "ordinals", "raw_bytes"]


@dataclass(frozen=True, slots=True)
class Element:
    """One element type.

    Parameters
    ----------
    name : str
    bits : int
        Of an element, as it is stored.
    dtype : numpy.dtype
        In which NumPy holds it: four-bit integers take a byte each.
    onnx : int
        Its number in ONNX, a value of `TensorProto.DataType`.
    low, high : int
        Range of an integer type; both 0 for a floating-point one.
    """

    name: str
    bits: int
    dtype: np.dtype[Any]
    onnx: int
    low: int = 0
    high: int = 0

    @property
    def floating(self) -> bool:
        """Rounded when it is compressed; integers are kept as they are."""
        return self.high == 0

    def stored_bytes(self, size: int) -> int:
        """Bytes of so many elements."""
        return (size * self.bits + 7) // 8


ELEMENTS: Mapping[str, Element] = MappingProxyType(
    {
        element.name: element
        for element in (
            Element("float32", 32, np.dtype(np.float32), 1),
            Element("float16", 16, np.dtype(np.float16), 10),
            Element("bfloat16", 16, np.dtype(ml_dtypes.bfloat16), 16),
            Element("int8", 8, np.dtype(np.int8), 3, -128, 127),
            Element("uint8", 8, np.dtype(np.uint8), 2, 0, 255),
            Element("int4", 4, np.dtype(np.int8), 22, -8, 7),
            Element("uint4", 4, np.dtype(np.uint8), 21, 0, 15),
        )
    }
)
"""Name of an element type → what it is."""

_BY_ONNX = {element.onnx: element for element in ELEMENTS.values()}


def element_of_onnx(data_type: int) -> Element | None:
    """The element type of a number of `TensorProto.DataType`; None where it is not one of ours.

    >>> element_of_onnx(10).name
    'float16'
    """
    return _BY_ONNX.get(data_type)


def ordinals(values: NDArray[Any]) -> NDArray[np.int64]:
    """Integers that order values as they are, and tell two that differ in any bit: -0.0 comes before 0.0.

    Parameters
    ----------
    values : array of an element type's dtype, without NaN

    >>> ordinals(np.array([-1.0, -0.0, 0.0, 1.0], np.float16)).tolist()
    [-15361, -1, 0, 15360]
    """
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    width = 8 * values.dtype.itemsize
    raw = values.view(f"u{values.dtype.itemsize}").astype(np.int64)
    magnitude = raw & ((1 << (width - 1)) - 1)
    return np.where(raw >> (width - 1), -1 - magnitude, magnitude)


def raw_bytes(array: NDArray[Any], element: str) -> bytes:
    """The elements as ONNX stores them in `raw_data`: little-endian, two four-bit integers to a byte, the first low.

    >>> raw_bytes(np.array([1, -1, 7], np.int8), "int4").hex()
    'f107'
    """
    kind = ELEMENTS[known_name("element", element, ELEMENTS)]
    flat = np.ascontiguousarray(array, dtype=kind.dtype).reshape(-1)
    if kind.bits == 4:
        nibbles = np.zeros(flat.size + flat.size % 2, np.uint8)
        nibbles[: flat.size] = flat.view(np.uint8) & 15
        return (nibbles[::2] | nibbles[1::2] << 4).tobytes()
    if kind.bits == 8:
        return flat.tobytes()
    return flat.view(f"u{flat.dtype.itemsize}").astype(f"<u{flat.dtype.itemsize}").tobytes()
