"""A second decoder, written from FORMAT.md alone: plain, slow, one bit at a time, and sharing no code with the first.

It shows that the specification is enough, and holds the fast decoder to it. It trusts its input.
"""

import lzma
import re
import struct
import zlib
from math import ceil, prod
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

_FORMAT = (Path(__file__).resolve().parents[2] / "compress" / "packed" / "FORMAT.md").read_text("utf-8")


def dictionary() -> bytes:
    """The block of section 3, its lines joined."""
    block = re.search(r"## 3 .*?```\n(.*?)```", _FORMAT, re.DOTALL)
    assert block is not None
    text = re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), block[1].replace("\n", ""))
    return text.encode("latin-1")


class Bits:
    """Section 2."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def u(self, width: int) -> int:
        field = self.text[self.at : self.at + width]
        assert len(field) == width
        self.at += width
        return int(field or "0", 2)

    def b(self, maximum: int) -> int:
        return self.u(len(f"{maximum:b}") if maximum else 0)

    def g(self, order: int) -> int:
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
        return (1 << zeros + order | self.u(zeros + order)) - (1 << order)


def _byte_string(bits: Bits) -> bytes:
    method, size = bits.g(0), bits.g(6)
    packed = bytes(bits.u(8) for _ in range(size if method == 0 else bits.g(6)))
    if method == 1:
        packed = zlib.decompressobj(-15, dictionary()).decompress(packed)
    if method == 2:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 2}]
        packed = lzma.decompress(packed, lzma.FORMAT_RAW, filters=filters)
    assert len(packed) == size
    return packed


def _table(bits: Bits) -> dict[str, int]:
    lengths: dict[int, int] = {}
    symbol, length = 0, 4
    while sum(2.0**-n for n in lengths.values()) < 1:
        if not bits.u(1):
            pass
        elif not bits.u(1):
            length += 1
        elif not bits.u(1):
            length -= 1
        elif not bits.u(1):
            jump = bits.g(1)
            length += -(jump // 2 + 2) if jump % 2 else jump // 2 + 2
        else:
            symbol += bits.g(0) + 1
            continue
        lengths[symbol] = length
        symbol += 1
    words, word, before = {}, -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        word = (word + 1) << (length - before)
        words[f"{word:0{length}b}"] = symbol
        before = length
    return words


def _model(bits: Bits, known: list[Any], *, gaps: bool = False) -> Any:
    back = bits.g(0)
    if back == 0:
        width = bits.u(3) + 1 if gaps else None
        coder = bits.g(0)
        known.append((width, coder, _table(bits) if coder == 0 else bits.u(3) + 1 if coder == 1 else bits.u(8)))
        back = 1
    return known[-back]


def _payload(bits: Bits, count: int, coder: int, model: Any) -> list[int]:
    if coder == 1:
        return [bits.u(model) for _ in range(count)]
    if coder == 2:
        return [model] * count
    sizes = []
    if count >= 65536:
        shortest, width = bits.u(14), bits.u(4)
        sizes = [shortest + bits.u(width) for _ in range(ceil(count / 1024) - 1)]
    start, symbols = bits.at, []
    for index in range(count):
        if sizes and index % 1024 == 0:
            assert bits.at == start + sum(sizes[: index // 1024])
        word = ""
        while word not in model:
            word += str(bits.u(1))
        symbols.append(model[word])
    return symbols


def _float(sign: int, exponent: int, mantissa: int, width: int) -> float:
    raw = sign << 31 | exponent << 23 | mantissa << (23 - width)
    number: float = struct.unpack(">f", raw.to_bytes(4, "big"))[0]
    return number


def _array(bits: Bits, count: int, models: list[Any]) -> list[float]:
    if count == 0:
        return []
    width, same = bits.u(5), bits.u(1)
    if same:
        exponent = bits.u(8)
        return [_float(bits.u(1), exponent, bits.u(width), width)] * count
    _, coder, model = _model(bits, models)
    return [_float(bits.u(1), exponent, bits.u(width), width) for exponent in _payload(bits, count, coder, model)]


def _centroids(bits: Bits, count: int, below_zero: int = 0) -> list[float]:
    """Section 6.2; section 11.4 where the ordinals of negative numbers begin one below zero."""
    width, negative = bits.u(5), bits.u(1)
    first = bits.u(8 + width)
    ordinals = [-first - below_zero if negative else first]
    if count > 1:
        order = bits.u(5)
        while len(ordinals) < count:
            ordinals.append(ordinals[-1] + bits.g(order))
    fields = [(ordinal < 0, -ordinal - below_zero if ordinal < 0 else ordinal) for ordinal in ordinals]
    return [_float(int(sign), own >> width, own & ((1 << width) - 1), width) for sign, own in fields]


def _integers(bits: Bits, count: int, low: int, high: int) -> list[int]:
    """Section 11.4."""
    values = [bits.b(high - low) + low]
    if count > 1:
        order = bits.u(3)
        while len(values) < count:
            values.append(values[-1] + bits.g(order))
    return values


def _layout(bits: Bits, rank: int, size: int) -> tuple[list[int], int, bool]:
    """Section 11.3: the stored order of axes, elements of a group, whether there is a grid."""
    axes = list(range(rank))
    if bits.u(1):
        rest = axes
        axes = [rest.pop(bits.b(len(rest) - 1)) for _ in range(rank)]
    group = bits.b(size - 2) + 1 if bits.u(1) else max(size, 1)
    return axes, group, bool(bits.u(1))


def _meaning(
    bits: Bits, count: int, groups: int, grid: bool, integers: tuple[int, int] | None, exponents: list[Any]
) -> list[list[float]]:
    """Section 11.3 and 11.4: the values of every group; of a grid before they are rounded to the element type."""
    if grid:
        told = bits.g(4)
        first = -(told // 2) - 1 if told % 2 else told // 2
        scales = _array(bits, groups, exponents)
        return [[_single(scale * (first + code)) for code in range(count)] for scale in scales]
    if count == 0:
        return [[] for _ in range(groups)]
    if integers is not None:
        return [list(_integers(bits, count, *integers)) for _ in range(groups)]
    return [_centroids(bits, count, 1) for _ in range(groups)]


def _single(number: float) -> float:
    """Rounded to binary32: a product of a binary32 number and a small integer is exact before."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded


def _coded(
    bits: Bits,
    parameter: TensorProto,
    version: int,
    code_models: list[Any],
    gap_models: list[Any],
    exponent_models: list[Any],
) -> dict[str, Any]:
    size = prod(parameter.dims)
    axes, group, grid = list(range(len(parameter.dims))), max(size, 1), False
    if version == 2:
        axes, group, grid = _layout(bits, len(parameter.dims), size)
    width = bits.u(3) + 1
    count, nnz = 2**width - bits.g(0), bits.b(size)
    groups = max(1, ceil(size / group))
    if version == 2:
        integers = _INTEGERS.get(parameter.data_type)
        centroids = _meaning(bits, count, groups, grid, integers, exponent_models)
    else:
        centroids = [_centroids(bits, count) if count else []]
    codes = []
    if nnz:
        _, coder, model = _model(bits, code_models)
        codes = _payload(bits, nnz, coder, model)
    taken, place, places = min(nnz, size - nnz), 0, []
    if taken:
        gap_bits, coder, model = _model(bits, gap_models, gaps=True)
        escape = 2**gap_bits - 1
        escapes = bits.b((size - taken) // escape)
        for symbol in _payload(bits, taken + escapes, coder, model):
            place += symbol
            if symbol != escape:
                places.append(place)
                place += 1
    if 2 * nnz > size:
        pruned = set(places)
        places = [place for place in range(size) if place not in pruned]
    return {"bits": width, "centroids": centroids, "codes": codes, "places": places, "axes": axes, "group": group}


_INTEGERS = {3: (-128, 127), 2: (0, 255), 22: (-8, 7), 21: (0, 15)}


def _dense(
    bits: Bits, parameter: TensorProto, code_models: list[Any], exponent_models: list[Any]
) -> list[float] | list[int]:
    size = prod(parameter.dims)
    if parameter.data_type not in _INTEGERS:
        return _array(bits, size, exponent_models)
    if not size:
        return []
    low, high = _INTEGERS[parameter.data_type]
    _, coder, model = _model(bits, code_models)
    return [(symbol - low) % (high - low + 1) + low for symbol in _payload(bits, size, coder, model)]


def _is_parameter(initializer: TensorProto, version: int) -> bool:
    """Sections 7.1 and 11.1."""
    if initializer.float_data or initializer.HasField("raw_data") or initializer.data_location == 1:
        return False
    if version == 1 or initializer.data_type == 1:
        return bool(initializer.data_type == 1)
    known = initializer.data_type in (10, 16, *_INTEGERS)
    return known and not initializer.int32_data and 0 not in initializer.dims


def zoo_options() -> dict[str, dict[str, tuple[str, str]]]:
    """The first table of section 10: family → option → the values it takes, and its default."""
    section = _FORMAT[_FORMAT.index("## 10 ") :]
    rows = [line.strip("| ").split(" | ") for line in section.split("\n\n")[2].splitlines()]
    (_, _, *families), _, *options = rows
    return {
        family: {row[0]: (row[1], row[place]) for row in options if row[place] != "–"}
        for place, family in enumerate(families, 2)
    }


def zoo_graph(spelling: str) -> onnx.ModelProto:
    """The graph of a named network, section 10."""
    family, *pairs = re.split("[(,]", spelling.rstrip(")"))
    options = {option: default for option, (_, default) in zoo_options()[family].items()}
    options.update(pair.split("=") for pair in pairs)
    words = {option: int(value) for option, value in options.items() if value.isdigit()}
    if family == "lenet-5-caffe":
        words["side"] = words["size"] // 4 - 3
    if family == "vgg-lite":
        words["side"] = words["size"] // 8

    def number(product: str) -> int:
        return prod(int(words.get(word, word)) for word in product.split("·"))

    block = re.search(rf"## 10 .*?\n{family}: (.*?)\n(\n|```)", _FORMAT, re.DOTALL)
    assert block is not None
    shape, *layers = block[1].splitlines()
    normed = options.get("batch_norm") == "true"
    nodes, initializers, current = [], [], "input"
    for layer in layers:
        name, operator, *rest = layer.split()
        if "?" in rest and not normed:
            continue
        if options.get("activation") == "tanh" and operator == "Relu":
            name, operator = name.replace("relu", "tanh"), "Tanh"
        if options.get("pool") == "average" and operator == "MaxPool":
            operator = "AveragePool"
        sizes = [number(word) for word in rest if word not in "?*"]
        shapes: dict[str, list[int]] = {}
        attributes: dict[str, Any] = {}
        if operator == "Conv":
            inputs, outputs, kernel, padding = sizes
            shapes = {"weight": [outputs, inputs, kernel, kernel], "bias": [outputs]}
            attributes = {"kernel_shape": [kernel] * 2, "pads": [padding] * 4}
        elif operator == "Gemm":
            inputs, outputs = sizes
            shapes, attributes = {"weight": [outputs, inputs], "bias": [outputs]}, {"transB": 1}
        elif operator == "BatchNormalization":
            shapes = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), sizes)
        elif operator in ("MaxPool", "AveragePool"):
            attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
        elif operator == "Flatten":
            attributes = {"axis": 1}
        if "*" in rest and normed:
            del shapes["bias"]
        parameters = {f"{name}.{part}": dims for part, dims in shapes.items()}
        output = "logits" if layer == layers[-1] else name
        nodes.append(helper.make_node(operator, [current, *parameters], [output], name, **attributes))
        initializers += [TensorProto(name=key, dims=dims, data_type=1) for key, dims in parameters.items()]
        current = output
    source = helper.make_tensor_value_info("input", 1, ["batch", *map(number, shape.split())])
    result = helper.make_tensor_value_info("logits", 1, ["batch", words["classes"]])
    graph = helper.make_graph(nodes, spelling, [source], [result], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def decode(data: bytes) -> dict[str, Any]:
    """All that a file holds: zoo, skeleton, provenance, and tensors by name (a list where dense, else a dict)."""
    assert data[:3] == b"DCZ"
    version = data[3]
    assert version in (1, 2)
    assert struct.pack(">I", zlib.crc32(data[:-4])) == data[-4:]
    end = next(at for at in range(4, len(data)) if data[at] < 128) + 1
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(data[4:end])) == len(data)
    bits = Bits(data[end:-4])
    named, graph = bits.u(1), _byte_string(bits)
    zoo = graph.decode() if named else None
    if zoo is not None:
        graph = zoo_graph(zoo).SerializeToString(deterministic=True)
        if version == 2:
            assert bits.u(32) == zlib.crc32(graph)
    texts = [text.decode() for text in _byte_string(bits).split(b"\xff")]
    assert texts.pop() == ""
    tensors: dict[str, Any] = {}
    code_models: list[Any] = []
    gap_models: list[Any] = []
    exponent_models: list[Any] = []
    for parameter in onnx.load_model_from_string(graph).graph.initializer:
        if not _is_parameter(parameter, version):
            continue
        if bits.u(1):
            tensors[parameter.name] = _coded(bits, parameter, version, code_models, gap_models, exponent_models)
        else:
            tensors[parameter.name] = _dense(bits, parameter, code_models, exponent_models)
    padding = bits.g(0)
    rest = bits.text[bits.at :]
    assert len(rest) // 8 == padding
    assert "1" not in rest
    return {
        "zoo": zoo,
        "skeleton": graph,
        "provenance": dict(zip(texts[::2], texts[1::2], strict=True)),
        "tensors": tensors,
    }
