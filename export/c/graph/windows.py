"""Geometry of convolutions and pools: kernel, strides, dilations, pads and output sizes as ONNX defines them."""

from collections.abc import Sequence

from compress.errors import UnsupportedError
from export.c.graph.reader import Node
from export.c.graph.steps import Window

__all__ = ["Window", "geometry", "pooling"]

Pair = tuple[int, int]


def geometry(
    node: Node, kernel_shape: Sequence[int], sizes: Sequence[int]
) -> tuple[Pair, Pair, Pair, tuple[int, int, int, int]]:
    """Kernel, strides, dilations and pads (top, left, bottom, right) of a node, a single axis made into two.

    Parameters
    ----------
    node : Node
    kernel_shape, sizes : sequence of int
        Kernel and input size, one per spatial axis.
    """
    axes = len(kernel_shape)
    kernel = [int(k) for k in kernel_shape]
    strides = [int(s) for s in node.attributes.get("strides", [1] * axes)]
    dilations = [int(d) for d in node.attributes.get("dilations", [1] * axes)]
    pads = [int(p) for p in node.attributes.get("pads", [0] * 2 * axes)]
    auto = node.attributes.get("auto_pad", b"NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else auto
    if auto == "VALID":
        pads = [0] * 2 * axes
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(((-(-size // s)) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    elif auto != "NOTSET":
        raise UnsupportedError(f"{node.name}: found auto_pad {auto}, allowed NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    if min(pads, default=0) < 0:
        raise UnsupportedError(f"{node.name}: found pads {pads}, allowed none below 0")
    if axes == 1:
        return (1, kernel[0]), (1, strides[0]), (1, dilations[0]), (0, pads[0], 0, pads[1])
    return (
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[1], pads[2], pads[3]),
    )


def pooling(node: Node, kind: str, sizes: Sequence[int], opset: int) -> Window:
    """The window of a pooling node over the spatial `sizes` (one or two)."""
    kernel, strides, dilations, pads = geometry(node, node.attributes["kernel_shape"], sizes)
    if kind == "average" and opset < 19 and dilations != (1, 1):
        raise UnsupportedError(f"{node.name}: found dilations {dilations}, allowed none in AveragePool below opset 19")
    inside = (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
    ceil = bool(node.attributes.get("ceil_mode", 0))
    outside = []
    for axis in (0, 1):
        reach = inside[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1
        size = (-(-reach // strides[axis]) if ceil else reach // strides[axis]) + 1
        if ceil and (size - 1) * strides[axis] >= inside[axis] + pads[axis]:
            size -= 1
        if size < 1:
            raise UnsupportedError(f"{node.name}: found an empty result, allowed at least one position")
        outside.append(size)
    include = bool(node.attributes.get("count_include_pad", 0))
    return Window(kind, kernel, strides, dilations, pads, inside, (outside[0], outside[1]), include)
