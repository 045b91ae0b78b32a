"""`compress onnx`: any ONNX file in, a small file of any kind out, checked before it is handed over."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.errors import CompressError, UsageError
from compress.front_ends.onnx_file import OnnxCompression, compress_onnx_file
from compress.observer import Observer, Silent
from compress.onnx_file.find import small_tensors
from compress.onnx_file.read import OnnxFile, read_onnx
from compress.output_error import OutputError, output_error
from compress.representation import CodedTensor, CompressedModel
from compress.rounding.probe import Probe, digests_of, random_feeds, read_feeds, run_file
from compress.rounding.report import OnnxReport
from compress.rounding.settings import PostTraining
from deep_compress.back_ends import BACK_ENDS, back_end_of, option_values
from deep_compress.jobs.files import write_artifact
from export import TARGETS, Artifact
from export.onnx.short_names import bytes_of_names

__all__ = ["compress_onnx"]

_SILENT = Silent()
_NO_OPTIONS: Mapping[str, object] = {}
_FORCED = "fixed width, for the memory at load"

_ROUNDING = 1e-4
"""A runtime may fuse the same weights in another order: the outputs of a lossless file differ by no more."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A model in the form of the back end, and what it did in onnxruntime, or what the dense ONNX file of it did."""

    model: CompressedModel
    artifact: Artifact
    probe: Probe
    error: OutputError

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.artifact.files.values()))


def compress_onnx(
    source: Path,
    out: Path,
    settings: PostTraining,
    *,
    target: str | None = None,
    options: Mapping[str, object] = _NO_OPTIONS,
    calibration: Path | None = None,
    observer: Observer = _SILENT,
) -> OnnxReport:
    """Code the weights of an ONNX file and write it anew, as an ONNX file or as anything else a model can become.

    What is written is tried out in processes of its own: a decoder must give every promised tensor bit for bit, a
    packed file the very same arrays, and the outputs must be as near to the original's as was promised. Otherwise
    nothing is left behind.

    Parameters
    ----------
    source, out : Path
    settings : PostTraining
    target : str or None
        Key in BACK_ENDS; None goes by the suffix of `out`.
    options : mapping of str to object
        Of the target, as values or as text. Names of inner values are short unless it says otherwise.
    calibration : Path or None
        Inputs (.npz) on which output errors and the means for bias correction are measured; None takes random ones
        and corrects no bias.
    observer : Observer

    Raises
    ------
    CompressError
        The file is unfit, cannot be written, or did not turn out as promised.
    """
    name, out = back_end_of(out, target)
    defaults = {"short_names": True} if "short_names" in BACK_ENDS[name].options else {}
    values = option_values(name, {**defaults, **options})
    _check_places(source, out)
    file = read_onnx(source)
    before = file.size
    small, small_bytes = small_tensors(file)
    with tempfile.TemporaryDirectory(prefix="compress-onnx-") as place:
        folder = Path(place)
        feeds = _write_feeds(file, source, calibration, folder)
        compression = compress_onnx_file(
            file,
            settings,
            feeds=feeds,
            folder=folder,
            calibrated=calibration is not None,
            spared_bytes=bytes_of_names(file.model) if values.get("short_names") else 0,
            observer=observer,
        )
        del file  # it keeps the message, and that its arena
        original = run_file(source, feeds, folder / "theirs.npz")
        written, notes = _nearest(compression, original, name, out, values, feeds, folder)
        observer.progress("check", 1, 2)
        if BACK_ENDS[name].coded and written.size >= before:
            raise CompressError(f"{source}: found {before} bytes, {written.size} coded, allowed fewer")
        _check(written, compression, settings, out, folder)
        paths = write_artifact(written.artifact, out)
        try:
            ours = _run_again(out, feeds, folder, written.probe) if out.suffix == ".onnx" else written.probe
        except BaseException:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        observer.progress("check", 2, 2)
    if calibration is None:
        notes = ("output errors were measured on random inputs: --calibration measures them on real ones", *notes)
    forced = {compression.labels[own] for own in written.artifact.forced}
    return OnnxReport(
        tensors=tuple(replace(row, reason=_FORCED) if row.label in forced else row for row in compression.rows),
        small_tensors=small,
        small_bytes=small_bytes,
        target=name,
        bytes_before=before,
        bytes_after=sum(path.stat().st_size for path in paths),
        worst_error=written.error.worst,
        mean_error=written.error.mean,
        error_on="random inputs" if calibration is None else str(calibration),
        load_s=(original.load_s, ours.load_s),
        load_peak_bytes=(original.load_peak_bytes, ours.load_peak_bytes),
        run_s=(original.run_s, ours.run_s),
        max_load_memory=written.artifact.max_load_memory,
        notes=(*notes, *written.artifact.remarks),
    )


def _check_places(source: Path, out: Path) -> None:
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"out: found the input file {out}, allowed another one")
    if not out.parent.is_dir():
        raise CompressError(f"{out}: found no directory {out.parent}, allowed one that is there")


def _write_feeds(file: OnnxFile, source: Path, calibration: Path | None, folder: Path) -> Path:
    """Inputs to measure on: those that the user gives, or random ones."""
    feeds = folder / "feeds.npz"
    if calibration is not None:
        read_feeds(calibration, file.model, feeds)
    else:
        random_feeds(source, feeds)
    return feeds


def _nearest(
    compression: OnnxCompression,
    original: Probe,
    name: str,
    out: Path,
    values: Mapping[str, object],
    feeds: Path,
    folder: Path,
) -> tuple[_Written, tuple[str, ...]]:
    """The model as it is, or with corrected biases where that is nearer on average; and a line on which it is."""

    def write(model: CompressedModel) -> _Written:
        artifact = BACK_ENDS[name].write(model, stem=out.stem, **values)
        runs = artifact if ".onnx" in artifact.files else TARGETS["onnx-dense"].write(model, stem=out.stem)
        attempt = folder / "attempt"
        attempt.mkdir(exist_ok=True)
        for suffix, content in runs.files.items():
            (attempt / f"{out.stem}{suffix}").write_bytes(content)
        probe = run_file(attempt / f"{out.stem}.onnx", feeds, folder / "attempt.npz")
        return _Written(model, artifact, probe, output_error(original.outputs, probe.outputs))

    plain = write(compression.model)
    if compression.corrected is None:
        return plain, ()
    corrected = write(compression.corrected)
    if corrected.error.mean < plain.error.mean:
        return corrected, (f"{compression.biases} biases were corrected",)
    return plain, ("bias correction did not lower the mean output error and was left out",)


def _check(
    written: _Written,
    compression: OnnxCompression,
    settings: PostTraining,
    out: Path,
    folder: Path,
) -> None:
    """Raise `CompressError` unless the files are as small, as near, and decode to what was promised."""
    size, worst = written.size, written.error.worst
    if not np.isfinite(worst):
        raise CompressError(f"{out}: would give NaN, infinity or other shapes where the original does not; not written")
    if settings.max_error is not None and worst > settings.max_error:
        raise CompressError(f"{out}: output error {worst:.2e}, allowed {settings.max_error:.2e}; not written")
    if settings.target_size is not None and size > settings.target_size:
        raise CompressError(f"{out}: found {size} bytes, allowed {settings.target_size}; not written")
    if all(row.how != "shared" for row in compression.rows) and worst > _ROUNDING:
        raise CompressError(f"{out}: output error {worst:.2e} though nothing was rounded; not written")
    if written.artifact.decoder is not None:
        alone = folder / "decoder.onnx"
        alone.write_bytes(written.artifact.decoder())
        found = digests_of(alone).values()
        wrong = [
            compression.labels[tensor.name]
            for tensor, digest in zip(written.model.coded, found, strict=True)
            if digest != _digest(tensor)
        ]
        if wrong:
            raise CompressError(f"{out}: decodes to other weights than were coded ({', '.join(wrong)}), not written")


def _digest(tensor: CodedTensor) -> str:
    """SHA-256 of the bytes that a decoder must give; bfloat16 as float32."""
    dense = tensor.dense()
    plain = dense.astype(np.float32) if tensor.element == "bfloat16" else dense
    return hashlib.sha256(np.ascontiguousarray(plain).tobytes()).hexdigest()


def _run_again(out: Path, feeds: Path, folder: Path, checked: Probe) -> Probe:
    ours = run_file(out, feeds, folder / "ours.npz")
    if output_error(checked.outputs, ours.outputs).worst != 0:
        raise CompressError(f"{out}: gives other outputs than the file that was checked, removed")
    return ours
