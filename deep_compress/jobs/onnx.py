"""`compress onnx`: any ONNX file in, a smaller one out that stock runtimes load, checked before it is handed over."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import CompressError, UsageError
from compress.files import write_whole
from compress.observer import Observer, Silent
from compress.onnx_file.find import small_tensors
from compress.post_training import OnnxSettings, find_weights, lift, read_onnx
from compress.post_training.report import OnnxReport
from deep_compress.jobs.onnx_bias import Correction
from deep_compress.jobs.onnx_bits import choose_bits
from deep_compress.jobs.onnx_probe import Probe, compare_outputs, digests_of, random_feeds, read_feeds, run_file
from deep_compress.jobs.onnx_sharing import Coded, left_row, share_all, share_weight
from deep_compress.jobs.onnx_writer import bytes_of_names, write_model
from export.onnx import any_model as onnx_model
from export.onnx.decoder import default_memory

__all__ = ["compress_onnx"]

_SILENT = Silent()
_WORTH_TELLING = 0.01
_FIXED = "fixed width, for the memory at load"
_ROUNDING = 1e-4
"""A runtime may fuse the same weights in another order: the outputs of a lossless file differ by no more."""


def compress_onnx(
    source: Path,
    out: Path,
    settings: OnnxSettings,
    *,
    calibration: Path | None = None,
    observer: Observer = _SILENT,
) -> OnnxReport:
    """Share, code and rewrite the weights of an ONNX file.

    The file written is loaded again in onnxruntime, in a process of its own: its decoder must give every promised
    tensor bit for bit, and the outputs must be as near to the original's as was promised. Otherwise it is removed.

    Parameters
    ----------
    source, out : Path
    settings : OnnxSettings
    calibration : Path or None
        Inputs (.npz) on which output errors and the means for bias correction are measured; None takes random ones
        and corrects no bias.
    observer : Observer

    Raises
    ------
    CompressError
        The file is unfit, cannot be written, or did not turn out as promised.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"out: found the input file {out}, allowed another one")
    if not out.parent.is_dir():
        raise CompressError(f"{out}: found no directory {out.parent}, allowed one that is there")
    model, before = read_onnx(source)
    weights, reasons = find_weights(model)
    small = small_tensors(model)
    if not weights and not reasons:
        raise CompressError(f"{source}: found no weights of 256 elements or more, allowed a model with some")
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="compress-onnx-") as place:
        folder = Path(place)
        feeds = folder / "feeds.npz"
        if calibration is not None:
            read_feeds(calibration, model, feeds)
        else:
            random_feeds(source, feeds)
            notes.append("output errors were measured on random inputs: --calibration measures them on real ones")
        bits: Mapping[str, int] = {}
        if settings.max_error is not None or settings.target_size is not None:
            bits = choose_bits(
                model,
                weights,
                settings,
                bytes_before=before - (bytes_of_names(model) if settings.short_names else 0),
                feeds=feeds,
                folder=folder,
                share=partial(share_weight, settings),
                observer=observer,
            )
        correction = None
        if calibration is not None and settings.bias_correction and not settings.lossless:
            correction = Correction(model, weights, feeds, folder)
        coded, rows = share_all(weights, settings, bits, correction, observer)
        if not coded:
            raise CompressError(f"{source}: found no tensor that would shrink, allowed at least one")
        names = lift(model, [weight for weight, row in zip(weights, rows, strict=True) if row.how != "left"])
        rows += [left_row(label, reason) for label, reason in reasons.items()]
        del weights  # they keep the model, and so its data
        model = _without_holes(model)
        parts = [item.part(name) for name, item in zip(names, coded, strict=True)]
        allowed = default_memory(parts) if settings.max_load_memory is None else settings.max_load_memory
        write = partial(
            write_model,
            functions=settings.functions,
            max_load_memory=allowed,
            short_names=settings.short_names,
            feeds=feeds,
            folder=folder,
        )
        theirs = run_file(source, feeds, folder / "theirs.npz")
        written = write(model, parts)
        error = compare_outputs(theirs.outputs, written.probe.outputs)
        if correction is not None and correction.biases:
            correction.apply(model)
            again = write(model, parts)
            improved = compare_outputs(theirs.outputs, again.probe.outputs)
            if improved.mean < error.mean:
                written, error = again, improved
                notes.append(f"{len(correction.biases)} biases were corrected")
            else:
                notes.append("bias correction did not lower the mean output error and was left out")
        del model
        observer.progress("check", 1, 2)
        if len(written.content) >= before:
            raise CompressError(f"{source}: found {before} bytes, {len(written.content)} coded, allowed fewer")
        _check_error(error.worst, len(written.content), settings, coded, out)
        alone = folder / "decoder.onnx"
        kinds = {written.names.get(name, name): item.element for name, item in zip(names, coded, strict=True)}
        alone.write_bytes(onnx_model.decoder_alone(written.content, kinds, written.nodes))
        _check_decoder(alone, coded, out)
        write_whole(out, written.content)
        try:
            ours = _run_written(out, feeds, folder, written.probe)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        observer.progress("check", 2, 2)
    forced = {item.label for name, item in zip(names, coded, strict=True) if name in written.plan.forced}
    if forced:
        notes.append(f"{len(forced)} tensors have fixed-width codes: Huffman's would take more memory at load")
    if written.shorter_by > _WORTH_TELLING * len(written.content):
        notes.append(f"names of inner values were shortened by {written.shorter_by} bytes: --keep-names keeps them")
    if written.plan.memory > allowed:
        notes.append(f"decoding may take {written.plan.memory} bytes of memory at load: no coding takes {allowed}")
    return OnnxReport(
        tensors=tuple(replace(row, reason=_FIXED) if row.label in forced else row for row in rows),
        small_tensors=small[0],
        small_bytes=small[1],
        bytes_before=before,
        bytes_after=out.stat().st_size,
        worst_error=error.worst,
        mean_error=error.mean,
        error_on="random inputs" if calibration is None else str(calibration),
        load_s=(theirs.load_s, ours.load_s),
        load_peak_bytes=(theirs.load_peak_bytes, ours.load_peak_bytes),
        run_s=(theirs.run_s, ours.run_s),
        max_load_memory=allowed,
        notes=tuple(notes),
    )


def _without_holes(model: Any) -> Any:
    """A copy: protobuf frees what was taken out of a model only with the whole of it."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _run_written(out: Path, feeds: Path, folder: Path, checked: Probe) -> Probe:
    ours = run_file(out, feeds, folder / "ours.npz")
    if compare_outputs(checked.outputs, ours.outputs).worst != 0:
        raise CompressError(f"{out}: gives other outputs than the file that was checked, removed")
    return ours


def _check_decoder(alone: Path, coded: Sequence[Coded], out: Path) -> None:
    found = digests_of(alone)
    wrong = [item.label for item, digest in zip(coded, found.values(), strict=True) if digest != item.digest]
    if wrong:
        raise CompressError(f"{out}: decodes to other weights than were coded ({', '.join(wrong)}), not written")


def _check_error(worst: float, size: int, settings: OnnxSettings, coded: Sequence[Coded], out: Path) -> None:
    if not np.isfinite(worst):
        raise CompressError(f"{out}: would give NaN, infinity or other shapes where the original does not; not written")
    if settings.max_error is not None and worst > settings.max_error:
        raise CompressError(f"{out}: output error {worst:.2e}, allowed {settings.max_error:.2e}; not written")
    if settings.target_size is not None and size > settings.target_size:
        raise CompressError(f"{out}: found {size} bytes, allowed {settings.target_size}; not written")
    if all(item.shared.how == "lossless" for item in coded) and worst > _ROUNDING:
        raise CompressError(f"{out}: output error {worst:.2e} though nothing was rounded; not written")
