"""Fusion: batch normalisations fold into weights, activations and pools join the step before; no result changes."""

from collections import Counter
from dataclasses import replace

import numpy as np

from export.c.graph.steps import Add, Affine, Convolution, Linear, Pointwise, Pool, Program, Step

__all__ = ["fuse"]


def fuse(program: Program) -> Program:
    """Join each step with its only consumer where one pass can compute both.

    A maximum commutes exactly with a monotone activation and with adding a bias, so a convolution keeps its
    planes in cache: pool first, then activate what is left.
    """
    uses = Counter(name for step in program.steps for name in step.inputs)
    uses[program.output] += 1
    steps: list[Step] = []
    for step in program.steps:
        source = next((i for i in range(len(steps) - 1, -1, -1) if steps[i].output == step.inputs[0]), None)
        joined = None
        if source is not None and len(step.inputs) == 1 and uses[step.inputs[0]] == 1:
            joined = _join(steps[source], step)
        if joined is None or source is None:
            steps.append(step)
        else:
            steps[source] = joined
    linear = tuple(_convolution_as_linear(step) for step in steps)
    return replace(program, steps=arrange(linear, program.output))


def _join(first: Step, second: Step) -> Step | None:
    if not isinstance(first, Convolution | Linear):
        return None
    plain = first.activation is None and not (isinstance(first, Convolution) and first.pool is not None)
    if isinstance(second, Affine) and plain and len(second.scale) == len(first.bias) and _per_row(first):
        scale = np.ones(len(first.bias), np.float32) if first.scale is None else first.scale
        bias = first.bias.astype(np.float64) * second.scale + second.bias
        return replace(
            first,
            output=second.output,
            shape=second.shape,
            scale=(scale.astype(np.float64) * second.scale).astype(np.float32),
            bias=bias.astype(np.float32),
        )
    if isinstance(second, Add) and plain and isinstance(first, Linear) and second.constant is not None:
        if second.shape != first.shape or second.constant.size not in (1, len(first.bias)):
            return None
        if second.constant.size > 1 and second.constant.shape[-1] != len(first.bias):
            return None
        summed = (first.bias + second.constant.reshape(-1)).astype(np.float32)
        return replace(first, output=second.output, bias=summed)
    if isinstance(second, Pointwise) and first.activation is None:
        return replace(first, output=second.output, activation=second.activation)
    if isinstance(second, Pool) and isinstance(first, Convolution) and first.pool is None:
        monotone = first.activation is None or (second.window.kind == "max" and first.activation.monotone)
        if monotone and second.window.inside == first.outside[1:]:
            return replace(first, output=second.output, shape=second.shape, pool=second.window)
    return None


def _per_row(step: Convolution | Linear) -> bool:
    """Whether the first axis of the result is that of the weight."""
    return isinstance(step, Convolution) or step.rows == 1


def arrange(steps: tuple[Step, ...], output: str) -> tuple[Step, ...]:
    """Order the rows of a fully connected layer by their nonzeros where only another such layer reads them.

    Rows of like length then stand together, and the reader's columns are permuted to match: no result changes.
    """
    arranged = list(steps)
    uses = Counter(name for step in steps for name in step.inputs)
    for i, first in enumerate(steps[:-1]):
        second = arranged[i + 1]
        if not isinstance(first, Linear) or not isinstance(second, Linear) or first.rows != 1 or second.rows != 1:
            continue
        if second.inputs[0] != first.output or uses[first.output] != 1 or first.output == output:
            continue
        first = arranged[i]
        assert isinstance(first, Linear)
        order = np.argsort(-np.count_nonzero(first.weight, axis=1), kind="stable")
        scale = None if first.scale is None else first.scale[order]
        arranged[i] = replace(first, weight=first.weight[order], scale=scale, bias=first.bias[order])
        arranged[i + 1] = replace(second, weight=np.ascontiguousarray(second.weight[:, order]))
    return tuple(arranged)


def _convolution_as_linear(step: Step) -> Step:
    """A convolution with one output position and no padding is a matrix times the whole input."""
    if not isinstance(step, Convolution) or step.outside[1:] != (1, 1) or step.groups != 1 or step.pool is not None:
        return step
    if step.weight.shape[1:] != step.inside or any(step.pads):
        return step
    return Linear(
        name=step.name,
        inputs=step.inputs,
        output=step.output,
        shape=step.shape,
        weight=step.weight.reshape(len(step.weight), -1),
        scale=step.scale,
        bias=step.bias,
        rows=1,
        activation=step.activation,
    )
