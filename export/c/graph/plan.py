"""From nodes to steps: each operator read into the step that computes it, on static shapes, and then fused."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from compress.errors import UnsupportedError
from export.c.graph import unweighted, weighted
from export.c.graph.fuse import fuse
from export.c.graph.reader import Network, Node
from export.c.graph.reading import Reading
from export.c.graph.steps import Program

__all__ = ["OPERATORS", "plan"]

OPERATORS: Mapping[str, Callable[[Reading, Node], None]] = MappingProxyType(
    {
        "Add": unweighted.add,
        "AveragePool": unweighted.pool("average"),
        "BatchNormalization": weighted.batch_normalization,
        "Cast": unweighted.cast,
        "CastLike": unweighted.cast,
        "Concat": unweighted.concat,
        "Conv": weighted.convolution,
        "Dropout": unweighted.identity,
        "Flatten": unweighted.flatten,
        "Gemm": weighted.gemm,
        "GlobalAveragePool": unweighted.global_average,
        "Identity": unweighted.identity,
        "LeakyRelu": unweighted.pointwise("leaky_relu", 0.01),
        "LogSoftmax": unweighted.softmax(True),
        "MatMul": weighted.matmul,
        "MaxPool": unweighted.pool("max"),
        "ReduceMean": unweighted.reduce_mean,
        "Relu": unweighted.pointwise("relu"),
        "Reshape": unweighted.reshape,
        "Sigmoid": unweighted.pointwise("sigmoid"),
        "Softmax": unweighted.softmax(False),
        "Squeeze": unweighted.squeeze,
        "Tanh": unweighted.pointwise("tanh"),
        "Transpose": unweighted.transpose,
        "Unsqueeze": unweighted.squeeze,
    }
)
"""ONNX operator → how a node of it becomes steps."""


def plan(network: Network) -> Program:
    """The steps that compute a network, fused where that changes no result.

    Raises
    ------
    UnsupportedError
        An operator, or a use of one, that the target does not know; the message names the node.
    """
    reading = Reading(network)
    for node in network.nodes:
        build = OPERATORS.get(node.op)
        if build is None:
            raise UnsupportedError(
                f"{node.name}: found operator {node.op}, the c target allows {', '.join(sorted(OPERATORS))}"
            )
        build(reading, node)
    output = reading.alias.get(network.output_name, network.output_name)
    program = Program(
        steps=tuple(reading.steps),
        input=network.input_name,
        output=output,
        input_shape=network.input_shape,
        output_shape=reading.shapes[network.output_name],
    )
    return fuse(program)
