"""Nodes and constants of an ONNX graph, written in as few bytes as the format allows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import count, product
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.graph import subgraphs_of

if TYPE_CHECKING:
    import onnx

__all__ = ["Builder"]


class Builder:
    """Collects nodes and initialisers under the shortest names that the surrounding graph leaves free.

    Parameters
    ----------
    opset : int
        Operator set of the surrounding model, 11 or later: every operator is written in a form valid there.
    taken : set of str
        Names already in use anywhere in the surrounding model.
    domains : set of str
        Operator domains in use there; functions go into another one.

    Attributes
    ----------
    ready : str or None
        An int64 [1] that is 1, once the phase whose nodes are being appended may be folded; None in the first.
    """

    def __init__(self, opset: int, taken: Set[str], domains: Set[str] = frozenset()) -> None:
        self.opset = opset
        self.domain = next(_short_names(domains))
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.functions: list[onnx.FunctionProto] = []
        self.ready: str | None = None
        self._names = _short_names(taken)
        self._own: list[str] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self) -> str:
        """A short name that is used nowhere yet."""
        self._own.append(next(self._names))
        return self._own[-1]

    def op(self, operator: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Append a node with one output and return its name; `out` names it, otherwise a short name is found."""
        from onnx import helper

        output = out or self.name()
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def ints(self, values: int | Sequence[int] | NDArray[Any], dtype: str = "int32") -> str:
        """A constant of small integers: a scalar, or an array of the shape given."""
        return self.constant(np.asarray(values, dtype=dtype))

    def constant(self, array: NDArray[Any], dims: tuple[int, ...] | None = None) -> str:
        """An initialiser, shared with every equal one; integers are stored as varints where that is shorter."""

        array = np.ascontiguousarray(array).reshape(np.shape(array) if dims is None else dims)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = self.name()
            self.initializers.append(tensor_proto(name, array))
        return self._constants[key]

    def split(self, value: str, sizes: Sequence[int], outputs: Sequence[str | None]) -> list[str]:
        """Cut a tensor into pieces along its first axis; an output that is None gets a short name."""
        from onnx import helper

        if len(sizes) == 1 and outputs[0] is None:
            return [value]
        names = [name or self.name() for name in outputs]
        if self.opset >= 13:
            node = helper.make_node("Split", [value, self.ints(sizes, "int64")], names)
        else:
            node = helper.make_node("Split", [value], names, split=list(sizes))
        self.nodes.append(node)
        return names

    def slice(self, value: str, start: int, stop: int) -> str:
        """Elements start to stop along the first axis."""
        return self.op("Slice", value, self.ints([start]), self.ints([stop]))

    def cast(self, value: str, dtype: Any) -> str:
        from onnx import helper

        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def zeros(self, shape: tuple[int, ...], dtype: Any, out: str | None = None) -> str:
        """A tensor of zeros that costs no bytes in the file; one that is not named is shared with its equals."""

        kind = np.dtype(dtype)
        key = (f"{kind.name} zeros {self.ready}", shape, b"")
        if out is not None or key not in self._constants:
            value = tensor_proto("", np.zeros(1, kind))
            attributes = {} if kind == np.float32 else {"value": value}
            dims = self.ints(list(shape), "int64")
            dims = dims if self.ready is None else self.op("Mul", dims, self.ready)
            name = self.op("ConstantOfShape", dims, out=out, **attributes)
            self._constants.setdefault(key, name)
        return self._constants[key] if out is None else out

    def staircase(self, zeros: str, at: Sequence[int], rises: Sequence[int], *, column: bool = False) -> str:
        """As long as `zeros`, int32 [n] or a column [n, 1]: what rises by rises[i] at position at[i]."""
        shape = (-1, 1) if column else (-1,)
        return self.cumsum(
            self.op("ScatterElements", zeros, self.ints(np.reshape(at, shape)), self.ints(np.reshape(rises, shape)))
        )

    def call(
        self,
        function: str,
        inputs: Sequence[str],
        write: Callable[["Builder", Sequence[str]], Sequence[str]],
        outputs: int,
    ) -> list[str]:
        """Append a call of a model-local function and return the names of its outputs.

        Parameters
        ----------
        function : str
            The first call under this name defines it, in front of the function that it is called in; later ones have
            as many inputs and outputs.
        inputs : sequence of str
        write : callable
            Gets a builder and the inputs' names in the function, appends its nodes and returns the outputs' names.
        outputs : int
        """
        from onnx import helper

        if function not in (known.name for known in self.functions):
            body = Builder(self.opset, set())
            body.domain, body.functions = self.domain, self.functions
            names = [body.name() for _ in inputs]
            results = list(write(body, names))
            imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(self.domain, 1)]
            self.functions.append(helper.make_function(self.domain, function, names, results, body.nodes, imports))
        results = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(function, inputs, results, domain=self.domain))
        return results

    def shorten(self) -> None:
        """Exchange the names found here so that those that are written most often are the shortest."""
        uses = Counter(self._own)
        uses.update(name for name in _names_of(self.nodes) if name in uses)
        uses.update(tensor.name for tensor in self.initializers)
        frequent = sorted(self._own, key=lambda name: -uses[name])
        renamed = dict(zip(frequent, sorted(self._own, key=len), strict=True))
        _rename(self.nodes, renamed)
        for tensor in self.initializers:
            tensor.name = renamed[tensor.name]

    def cumsum(self, value: str) -> str:
        return self.op("CumSum", value, self.ints(0))

    def starts(self, widths: str) -> str:
        """Where every width begins when they lie one behind the other."""
        return self.op("Sub", self.cumsum(widths), widths)


def tensor_proto(name: str, array: NDArray[Any]) -> "onnx.TensorProto":
    """The TensorProto of an array in the shorter of its two encodings."""
    import onnx
    from onnx import numpy_helper

    raw = numpy_helper.from_array(array, name)
    if array.dtype.kind not in "iu" or array.size > 4096 or (array.dtype.itemsize == 8 and array.dtype.kind == "u"):
        return raw
    varint = onnx.TensorProto(name=name, dims=array.shape, data_type=raw.data_type)
    field = varint.int64_data if array.dtype.itemsize == 8 else varint.int32_data
    field.extend(int(value) for value in array.reshape(-1))
    return varint if varint.ByteSize() < raw.ByteSize() else raw


def _names_of(nodes: Iterable["onnx.NodeProto"]) -> Iterator[str]:
    for node in nodes:
        yield from (*node.input, *node.output)
        for graph in subgraphs_of(node):
            yield from (value.name for value in (*graph.input, *graph.output))
            yield from _names_of(graph.node)


def _rename(nodes: Iterable["onnx.NodeProto"], renamed: Mapping[str, str]) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        for graph in subgraphs_of(node):
            for value in (*graph.input, *graph.output):
                value.name = renamed.get(value.name, value.name)
            _rename(graph.node, renamed)


def _short_names(taken: Set[str]) -> Iterator[str]:
    for length in count(1):
        for letters in product(ascii_letters, repeat=length):
            name = "".join(letters)
            if name not in taken:
                yield name
