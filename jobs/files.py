"""Jobs on a file that is there already: load, export, evaluate, verify."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.accuracy import Accuracy, measure_accuracy
from compress import container
from compress.datasets import canonical_data, load_dataset, normalise
from compress.errors import CompressError, CorruptFileError, UsageError
from compress.files import write_whole
from compress.observer import Observer, Silent
from compress.recipe import known_name
from compress.representation import CompressedModel
from export import TARGETS

__all__ = ["evaluate_file", "export_file", "load_file", "onnx_input_shape", "read_file", "verify_file"]

_SILENT = Silent()


def read_file(path: Path) -> bytes:
    """The bytes of a file; a `CompressError` in one line where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CompressError(f"{path}: cannot be read ({error.strerror})") from error


def load_file(path: Path) -> CompressedModel:
    """Decode a packed file; a `CorruptFileError` that names it where it is none.

    Raises
    ------
    CompressError
        The file cannot be read, or breaks the format.
    """
    content = read_file(path)
    try:
        return container.loads(content)
    except CorruptFileError as error:
        raise CorruptFileError(f"{path}: {error}") from error


def export_file(source: Path, target: str, destination: Path, options: Mapping[str, object]) -> tuple[Path, ...]:
    """Write a packed file in the form of a target.

    Parameters
    ----------
    source : Path
        A .dcz file.
    target : str
        Key in TARGETS.
    destination : Path
        Gets the target's first suffix if it has none; a target's further files are written beside it.
    options : mapping of str to object
        Options of the target.

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    CompressError
        An unknown target, option or suffix; a packed file that is damaged; a network that the target cannot take.
    """
    known_name("target", target, TARGETS)
    chosen = TARGETS[target]
    for name in options:
        if name not in chosen.options:
            raise UsageError(
                f"option {name.replace('_', '-')}: not one of target {target}, "
                f"allowed {', '.join(option.replace('_', '-') for option in chosen.options) or 'none'}"
            )
    if not destination.suffix:
        destination = destination.with_suffix(chosen.suffixes[0])
    if destination.suffix != chosen.suffixes[0]:
        raise UsageError(f"out: found suffix {destination.suffix!r}, allowed {chosen.suffixes[0]} for target {target}")
    files = chosen.dumps(load_file(source), stem=destination.stem, **options)
    written = []
    for suffix, content in files.items():
        path = destination.with_suffix(suffix)
        write_whole(path, content)
        written.append(path)
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
            network.write_bytes(TARGETS["onnx-dense"].dumps(load_file(path))[".onnx"])
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
    content = read_file(path)
    model = load_file(path)
    if container.dumps(model) != content:
        raise CorruptFileError(f"{path}: packing its content again gives other bytes, allowed only what dumps writes")
    TARGETS["onnx-dense"].dumps(model)
    return len(content)
