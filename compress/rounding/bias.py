"""Bias correction: what rounding a layer's weights adds to its mean output is taken out of its bias.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction
(2019), section 4.2, with the means of the layer's inputs measured on real data. At
the borders of a padded convolution the mean is an approximation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.graph import serialise
from compress.onnx_file.find import Weight, stored_tensors
from compress.onnx_file.read import OnnxFile
from compress.rounding.probe import means_of

__all__ = ["Correctable", "Correction", "correctable_layers", "corrected_bias"]


@dataclass(frozen=True, slots=True, eq=False)
class Correctable:
    """A layer of the main graph whose weight is coded and whose bias is its own.

    Parameters
    ----------
    operator : str
        Conv, Gemm or MatMul.
    values : str
        Name of the layer's input.
    weight, bias : str
    groups : int
        Of a convolution; 1 otherwise.
    transposed : bool
        The weight's first axis, not its last, is that of the outputs.
    """

    operator: str
    values: str
    weight: str
    bias: str
    groups: int
    transposed: bool


def correctable_layers(file: OnnxFile, weights: Sequence[Weight]) -> list[Correctable]:
    """Layers whose bias can be corrected: float32, a constant of the main graph that nothing else reads."""
    import onnx

    model = file.model
    coded = {weight.name for weight in weights if weight.home is model.graph and weight.element.name == "float32"}
    constants = {name: tensor for name, _, tensor in stored_tensors(model.graph)}
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for value in (*model.graph.input, *model.graph.output):
        readers.setdefault(value.name, []).append(None)

    def own_bias(name: str) -> str | None:
        bias = constants.get(name)
        alone = name not in coded and len(readers.get(name, [])) == 1
        return name if bias is not None and alone and bias.data_type == onnx.TensorProto.FLOAT else None

    layers = []
    for node in model.graph.node:
        if len(node.input) < 2 or node.input[1] not in coded or len(readers[node.input[1]]) != 1:
            continue
        attributes = {item.name: item for item in node.attribute}
        bias, groups, transposed = None, 1, True
        if node.op_type == "Conv" and len(node.input) > 2:
            bias = own_bias(node.input[2])
            groups = attributes["group"].i if "group" in attributes else 1
        elif node.op_type == "Gemm" and len(node.input) > 2 and not _scaled(attributes):
            bias = own_bias(node.input[2])
            transposed = "transB" in attributes and bool(attributes["transB"].i)
        elif node.op_type == "MatMul" and len(constants[node.input[1]].dims) == 2:
            following = readers.get(node.output[0], [])
            transposed = False
            if len(following) == 1 and following[0] is not None and following[0].op_type == "Add":
                bias = own_bias(next((name for name in following[0].input if name != node.output[0]), ""))
        outputs = constants[node.input[1]].dims[0 if transposed else -1]
        if bias is not None and list(constants[bias].dims) == [outputs]:
            layers.append(Correctable(node.op_type, node.input[0], node.input[1], bias, groups, transposed))
    return layers


def corrected_bias(
    layer: Correctable, change: NDArray[np.float32], means: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The bias that gives the layer the mean output that it had.

    Parameters
    ----------
    layer : Correctable
    change : float32
        Coded weight minus original weight.
    means : float32 [input channels]
        Mean of the layer's input.
    bias : float32 [outputs]

    Returns
    -------
    float32 [outputs]
    """
    if layer.operator == "Conv":
        by_channel = change.reshape(change.shape[0], change.shape[1], -1).sum(axis=2, dtype=np.float64)
        outputs = change.shape[0] // layer.groups
        of_group = np.repeat(np.arange(layer.groups), outputs)
        grouped = means.astype(np.float64).reshape(layer.groups, change.shape[1])[of_group]
        shift = (by_channel * grouped).sum(axis=1)
    else:
        rows = change if layer.transposed else change.T
        shift = rows.astype(np.float64) @ means.astype(np.float64)
    new: NDArray[np.float32] = (bias - shift).astype(np.float32)
    return new


def _scaled(attributes: Mapping[str, Any]) -> bool:
    return any(name in attributes and attributes[name].f != 1.0 for name in ("alpha", "beta"))


class Correction:
    """The corrected biases of a model, found weight by weight while they are coded.

    Parameters
    ----------
    file : OnnxFile
        Not changed.
    weights : sequence of Weight
        Of `file`.
    feeds, folder : Path
        Inputs on which the means are measured; a place for files in between.

    Attributes
    ----------
    biases : dict of str to float32
        By name in the main graph.
    """

    def __init__(self, file: OnnxFile, weights: Sequence[Weight], feeds: Path, folder: Path) -> None:
        import onnx

        self.biases: dict[str, NDArray[np.float32]] = {}
        layers = correctable_layers(file, weights)
        self._layers = {layer.weight: layer for layer in layers}
        self._means: dict[str, NDArray[np.float32]] = {}
        wanted = {layer.bias for layer in layers}
        self._old = {name: file.array(tensor) for name, _, tensor in stored_tensors(file.model.graph) if name in wanted}
        if not layers:
            return
        copy = file.copy()
        axes: dict[str, int] = {}
        for number, layer in enumerate(layers):
            output = f"mean of {layer.weight} {number}"
            copy.model.graph.node.append(onnx.helper.make_node("Identity", [layer.values], [output]))
            copy.model.graph.output.add(name=output)
            axes[output] = 1 if layer.operator == "Conv" else -1
        copy.move_in_()
        for suffix, content in serialise(copy.model, "means").items():
            (folder / f"means{suffix}").write_bytes(content)
        found = means_of(folder / "means.onnx", feeds, axes, folder)
        self._means = {layer.weight: found[output] for layer, output in zip(layers, axes, strict=True)}

    def note(self, weight: Weight, dense: NDArray[Any]) -> None:
        """Find the bias of the layer of `weight`, which becomes `dense`."""
        layer = self._layers.get(weight.name)
        if layer is None or weight.home is not weight.file.model.graph:
            return
        change = dense.astype(np.float32) - weight.array().astype(np.float32)
        self.biases[layer.bias] = corrected_bias(layer, change, self._means[weight.name], self._old[layer.bias])
