"""The network's graph without its weights: an ONNX model whose initialisers keep names and shapes, not their data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from compress.elements import element_of_onnx, raw_bytes
from compress.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

__all__ = ["Graph", "graph_of_model", "hollow_out_", "mark_constants_"]

_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "external_data", "data_location")


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX model without the data of its weights.

    Parameters
    ----------
    zoo : str or None
        Spelling of the network where it is ours (`networks.describe`), so that a file need only name it.
    skeleton : bytes
        Serialised ModelProto; the initialisers that are parameters have a name, a type and a shape, and no data.

    Attributes
    ----------
    parameters : mapping of str to tuple of int
        Name and shape of every parameter, in the graph's order.
    elements : mapping of str to str
        Name and element type (key in ELEMENTS) of every parameter.
    """

    zoo: str | None
    skeleton: bytes = field(repr=False)
    parameters: Mapping[str, tuple[int, ...]] = field(init=False, compare=False)
    elements: Mapping[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        hollow = [(i, element_of_onnx(i.data_type)) for i in self.hollow().graph.initializer if _is_hollow(i)]
        shapes = {i.name: tuple(i.dims) for i, element in hollow if element}
        elements = {i.name: element.name for i, element in hollow if element}
        object.__setattr__(self, "parameters", MappingProxyType(shapes))
        object.__setattr__(self, "elements", MappingProxyType(elements))

    def hollow(self) -> "onnx.ModelProto":
        """The ONNX model with its parameters still without data."""
        import onnx

        return onnx.load_model_from_string(self.skeleton)

    def model(self, weights: Mapping[str, NDArray[Any]]) -> "onnx.ModelProto":
        """The ONNX model with `weights` as plain dense initialisers.

        Parameters
        ----------
        weights : mapping of str to array
            By parameter name, of the parameter's element type and shape. A parameter that is not there stays hollow.
        """
        model = self.hollow()
        for initializer in model.graph.initializer:
            if initializer.name in self.parameters and initializer.name in weights:
                array = weights[initializer.name]
                if array.shape != tuple(initializer.dims):
                    raise ValueError(f"{initializer.name}: found {array.shape}, allowed {tuple(initializer.dims)}")
                initializer.raw_data = raw_bytes(array, self.elements[initializer.name])
        return model


def _is_hollow(initializer: "onnx.TensorProto") -> bool:
    """No data, and a type that a parameter may have; without elements only float32, as in packed files of version 1."""
    import onnx

    kind = element_of_onnx(initializer.data_type)
    return bool(
        kind is not None
        and not initializer.HasField("raw_data")
        and not initializer.float_data
        and (kind.name == "float32" or not initializer.int32_data)
        and initializer.data_location == onnx.TensorProto.DEFAULT
        and (kind.name == "float32" or 0 not in initializer.dims)
    )


def graph_of_model(model: "onnx.ModelProto", parameters: Mapping[str, tuple[int, ...]]) -> Graph:
    """The graph of any ONNX model; the initialisers named in `parameters` (name to shape) lose their data.

    Every other initialiser is a constant and keeps its data. One of no elements has none to keep, and is told from a
    parameter of no elements by an empty `raw_data` field, which is there for a constant and missing for a parameter.

    Raises
    ------
    UnsupportedError
        A parameter is not an initialiser of the model's main graph with that shape and an element type of ours, or a
        constant has no data, or has it in another file.
    """
    import onnx

    hollow = onnx.ModelProto()
    hollow.CopyFrom(model)
    found = {initializer.name: initializer for initializer in hollow.graph.initializer}
    for name, shape in parameters.items():
        initializer = found.get(name)
        kind = None if initializer is None else element_of_onnx(initializer.data_type)
        if initializer is None or kind is None or tuple(initializer.dims) != shape:
            raise UnsupportedError(f"{name}: no initialiser of shape {shape} in the graph, of a type that is coded")
    hollow_out_(hollow, parameters)
    mark_constants_(hollow, parameters)
    return Graph(None, hollow.SerializeToString(deterministic=True))


def hollow_out_(model: "onnx.ModelProto", parameters: Iterable[str]) -> None:
    """Take the data of the main graph's initialisers of these names out of a model."""
    names = set(parameters)
    for initializer in model.graph.initializer:
        if initializer.name in names:
            for field_name in _DATA_FIELDS:
                initializer.ClearField(field_name)


def mark_constants_(model: "onnx.ModelProto", parameters: Iterable[str]) -> None:
    """Tell the main graph's initialisers of other names from parameters: they have data, if none of any element.

    Raises
    ------
    UnsupportedError
        A constant has no data, or has it in another file.
    """
    import onnx

    names = set(parameters)
    for initializer in model.graph.initializer:
        if initializer.name in names:
            continue
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            raise UnsupportedError(
                f"{initializer.name}: found data in another file, allowed a model loaded with its data"
            )
        if _is_hollow(initializer):
            if 0 not in initializer.dims:
                raise UnsupportedError(f"{initializer.name}: found an initialiser without data that is no parameter")
            initializer.raw_data = b""
