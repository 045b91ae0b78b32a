"""Jobs on a file that is there already: load, export, evaluate, verify."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy import Accuracy, measure_accuracy
from compress.datasets import canonical_data, load_dataset, normalise
from compress.errors import CompressError, CorruptFileError, UnsupportedError, UsageError
from compress.files import write_together
from compress.names import known_name
from compress.observer import Observer, Silent
from compress.packed import container
from compress.representation import CompressedModel
from deep_compress.back_ends import back_end_of, option_values
from export import TARGETS, Artifact

__all__ = [
    "Exported",
    "evaluate_file",
    "export_file",
    "load_model",
    "onnx_input_shape",
    "read_file",
    "verify_file",
    "write_artifact",
]

_SILENT = Silent()
_KEPT = ("DequantizeLinear",)


def read_file(path: Path) -> bytes:
    """The bytes of a file; a `CompressError` in one line where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CompressError(f"{path}: cannot be read ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that were written, and what a user should know about them, a line each."""

    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def load_model(path: Path) -> CompressedModel:
    """The network in a packed file, or in any ONNX file: what does not depend on its input is computed, nothing coded.

    Weights that were quantised stay integers: their DequantizeLinear is not computed.

    Raises
    ------
    CompressError
        The file cannot be read, or is none of the two; what does not depend on the input cannot be computed, or only
        from more bytes than one protobuf message takes.
    """
    if path.suffix != ".onnx":
        return container.load(path)
    from compress.front_ends.onnx_file import dense_model_of
    from compress.graph.fold import fold
    from compress.onnx_file.read import OnnxFile, read_onnx

    file = read_onnx(path)
    file.move_in_()
    try:
        return dense_model_of(OnnxFile(fold(file.model, kept=_KEPT), path, file.size))
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from error


def export_file(source: Path, target: str, destination: Path, options: Mapping[str, object]) -> Exported:
    """Write a packed file, or for targets that need no codes any ONNX file, in the form of a target.

    Parameters
    ----------
    source : Path
        A .dcz file; an .onnx file where the target codes nothing, also one that decodes itself.
    target : str
        Key in TARGETS.
    destination : Path
        Gets the target's first suffix if it has none; a target's further files are written beside it.
    options : mapping of str to object
        Options of the target, as values or as text.

    Returns
    -------
    Exported

    Raises
    ------
    CompressError
        An unknown target, option or suffix; a file that is damaged; a network that the target cannot take. Nothing
        is written then.
    """
    known_name("target", target, TARGETS)
    values = option_values(target, options)
    _, destination = back_end_of(destination, target)
    if source.suffix == ".onnx" and TARGETS[target].coded:
        raise UsageError(
            f"{source}: found an ONNX file, allowed a packed one (.dcz) for target {target}; "
            f"'compress onnx {source} -o {destination}' codes the weights of any ONNX file"
        )
    model = load_model(source)
    try:
        artifact = TARGETS[target].write(model, stem=destination.stem, **values)
    except UnsupportedError as error:
        raise UnsupportedError(f"{source}: {error}") from error
    return Exported(write_artifact(artifact, destination), artifact.remarks)


def write_artifact(artifact: Artifact, destination: Path) -> tuple[Path, ...]:
    """Write all files of an artifact, or none; their paths, `destination` first."""
    written = {destination.with_suffix(suffix): content for suffix, content in artifact.files.items()}
    write_together(written)
    return tuple(written)


def evaluate_file(path: Path, data: str, data_dir: Path | None = None, observer: Observer = _SILENT) -> Accuracy:
    """Count the test images of a data set that a `.dcz` or `.onnx` file gets right, run by onnxruntime.

    Raises
    ------
    CompressError, BenchError
        An unknown data set or suffix, or a file that cannot be read or run, or does not fit the data.
    """
    canonical_data(data)
    known_name("suffix", path.suffix, (".dcz", ".onnx"))
    with tempfile.TemporaryDirectory() as folder:
        network = path
        if path.suffix == ".dcz":
            network = Path(folder) / f"{path.stem}.onnx"
            write_artifact(TARGETS["onnx-dense"].write(container.load(path), stem=path.stem), network)
        shape = onnx_input_shape(network, named=path)
        dataset = load_dataset(data, data_dir)
        inputs = normalise(dataset, dataset.test.images, shape)
        return measure_accuracy(
            network,
            inputs,
            dataset.test.labels,
            progress=lambda done, total: observer.progress("test", done, total),
        )


def onnx_input_shape(path: Path, named: Path) -> tuple[int, ...]:
    """Shape of the one input of an ONNX file, without the batch axis; `named` is what an error calls it."""
    import onnx

    content = read_file(path)
    try:
        model = onnx.load_model_from_string(content)
    except (ValueError, TypeError) as error:
        raise CompressError(f"{named}: found no ONNX model ({error})") from error
    except Exception as error:  # protobuf's own type of error is not public
        raise CompressError(f"{named}: found no ONNX model ({type(error).__name__})") from error
    constants = {initializer.name for initializer in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise CompressError(f"{named}: found {len(inputs)} inputs, allowed one")
    sizes = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) < 2 or not all(size > 0 for size in sizes[1:]):
        raise CompressError(f"{named}: found an input of shape {sizes}, allowed fixed sizes after the batch")
    return tuple(sizes[1:])


def verify_file(path: Path) -> int:
    """Check a packed file wholly and give its bytes.

    The checksum, every size, that packing what it holds gives the same bytes again, and that its network is a valid
    ONNX model with these weights.

    Raises
    ------
    CompressError
        The first thing that is wrong.
    """
    model = container.load(path)
    content = read_file(path)
    if container.dumps(model) != content:
        raise CorruptFileError(f"{path}: packing its content again gives other bytes, allowed only what dumps writes")
    TARGETS["onnx-dense"].write(model)
    return len(content)
