"""An ONNX model as files, after onnx.checker accepted it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from compress.errors import UnsupportedError, first_line
from compress.graph import LARGEST_MESSAGE, serialise

if TYPE_CHECKING:
    import onnx

__all__ = ["checked_files"]


def checked_files(model: "onnx.ModelProto", stem: str) -> Mapping[str, bytes]:
    """As `serialise`; a model that is too large for one message is too large for the checker, and goes unchecked.

    Raises
    ------
    UnsupportedError
        The model is not valid.
    """
    import onnx

    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= LARGEST_MESSAGE:
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise UnsupportedError(f"model: cannot be written as ONNX ({first_line(error)})") from error
    return serialise(model, stem)
