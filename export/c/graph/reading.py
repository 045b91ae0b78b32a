"""What is known while a graph is read: shapes, names that stand for others, and the steps so far."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from export.c.graph.reader import Network, Node
from export.c.graph.steps import Step

__all__ = ["Reading", "Shape", "behind_batch", "refuse"]

Shape = tuple[int, ...]


class Reading:
    """What is known so far: shapes of the values, names that stand for others, steps in order."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.shapes: dict[str, Shape] = {network.input_name: network.input_shape}
        self.alias: dict[str, str] = {}
        self.steps: list[Step] = []

    def value(self, node: Node, index: int = 0) -> tuple[str, Shape]:
        name = node.inputs[index]
        if name in self.network.constants:
            raise refuse(node, f"input {index} is constant, allowed one that depends on the network's input")
        if name not in self.shapes:
            raise refuse(node, f"input {index} is {name!r}, an output that is not computed")
        return self.alias.get(name, name), self.shapes[name]

    def constant(self, node: Node, index: int, what: str) -> NDArray[Any] | None:
        if index >= len(node.inputs) or node.inputs[index] == "":
            return None
        found = self.network.constants.get(node.inputs[index])
        if found is None:
            raise refuse(node, f"{what} depends on the network's input, allowed a constant")
        return found

    def floats(self, node: Node, index: int, what: str) -> NDArray[np.float32]:
        found = self.constant(node, index, what)
        if found is None or found.dtype != np.float32:
            raise refuse(node, f"{what} is {'missing' if found is None else found.dtype}, allowed float32")
        if not np.isfinite(found).all():
            raise refuse(node, f"{what} holds NaN or infinity, allowed finite values")
        return found

    def rename(self, node: Node, shape: Shape) -> None:
        name, before = self.value(node)
        if prod(before) != prod(shape):
            raise refuse(node, f"found shape {before} made into {shape}, allowed the same number of elements")
        self.alias[node.outputs[0]] = name
        self.shapes[node.outputs[0]] = shape

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.shapes[step.output] = step.shape


def refuse(node: Node, message: str) -> UnsupportedError:
    return UnsupportedError(f"{node.name}: operator {node.op}: {message}")


def behind_batch(node: Node, axis: int, rank: int) -> int:
    """An axis behind the batch axis, as an index into the shape without it."""
    axis = axis + rank + 1 if axis < 0 else axis
    if not 1 <= axis <= rank:
        raise refuse(node, f"axis {axis}, allowed 1 to {rank}: the batch axis stays")
    return axis - 1
