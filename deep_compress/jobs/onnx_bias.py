"""Bias correction of an ONNX file: measure the means, note every coded weight, change the biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.onnx_file.find import stored_tensors
from compress.post_training import Weight
from compress.post_training.bias import Correctable, correctable_layers, corrected_bias
from compress.post_training.sharing import array_of
from deep_compress.jobs.onnx_probe import means_of

__all__ = ["Correction"]


class Correction:
    """The corrected biases of a model, found weight by weight while they are coded.

    Parameters
    ----------
    model : ModelProto
    weights : sequence of Weight
        Of `model`.
    feeds, folder : Path

    Attributes
    ----------
    biases : dict of str to float32
        By name in the main graph.
    """

    def __init__(self, model: Any, weights: Sequence[Weight], feeds: Path, folder: Path) -> None:
        import onnx
        from onnx import numpy_helper

        self.biases: dict[str, NDArray[np.float32]] = {}
        layers = correctable_layers(model, weights)
        self._layers = {layer.weight: layer for layer in layers}
        self._means: dict[str, NDArray[np.float32]] = {}
        wanted = {layer.bias for layer in layers}
        self._old = {
            name: numpy_helper.to_array(tensor) for name, _, tensor in stored_tensors(model.graph) if name in wanted
        }
        if not layers:
            return
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        axes: dict[str, int] = {}
        for number, layer in enumerate(layers):
            output = f"mean of {layer.weight} {number}"
            copy.graph.node.append(onnx.helper.make_node("Identity", [layer.values], [output]))
            copy.graph.output.add(name=output)
            axes[output] = _channel_axis(layer)
        path = folder / "means.onnx"
        path.write_bytes(copy.SerializeToString())
        found = means_of(path, feeds, axes, folder)
        self._means = {layer.weight: found[output] for layer, output in zip(layers, axes, strict=True)}

    def note(self, weight: Weight, dense: NDArray[Any]) -> None:
        """Find the bias of the layer of `weight`, which becomes `dense`; its data must still be in the model."""
        layer = self._layers.get(weight.name)
        if layer is None:
            return
        change = dense.astype(np.float32) - array_of(weight).astype(np.float32)
        self.biases[layer.bias] = corrected_bias(layer, change, self._means[weight.name], self._old[layer.bias])

    def apply(self, model: Any) -> None:
        """Put the corrected biases into the model, or into a copy of it."""
        for name, _, tensor in stored_tensors(model.graph):
            if name in self.biases:
                tensor.ClearField("float_data")
                tensor.raw_data = self.biases[name].astype("<f4").tobytes()


def _channel_axis(layer: Correctable) -> int:
    return 1 if layer.operator == "Conv" else -1
