"""`compress onnx` on real trained networks that packages of the Python index carry: bytes, error, task, load.

    pip install --no-deps silero-vad magika rapidocr-onnxruntime nudenet ddddocr basic-pitch
    python -m benchmarks.onnx_real --json docs/results/onnx-real.json

Only the packages' .onnx files are used. Every network is compressed at 6 bits without pruning, and its outputs are
compared with the original's on inputs made here: rendered words, spoken-like sound, source text. The task check asks
whether the answer stays: the same label, the same text, the same decision. `names kept` is the ratio with
--keep-names, which changes no number. Inference is measured in one process, before and after in turns, call by call.
What is printed is Markdown.
"""

import argparse
import json
import lzma
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import keep
from benchmarks.onnx_inference import inference_ns

__all__ = ["NETWORKS", "Network", "answers_of", "find_network", "main"]

Feeds = Mapping[str, NDArray[Any]]
Outputs = list[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Network:
    """A network that a package carries.

    Parameters
    ----------
    package, path : str
        Module that is looked up, and the file below it.
    feeds : callable
        Inputs, one more axis in front: the feeds.
    answer : callable
        What the outputs of one feed mean for the task, comparable by `==`; None where nothing made here asks it.
    task : str
    """

    package: str
    path: str
    feeds: Callable[[], Feeds]
    answer: Callable[[Outputs], Any] | None
    task: str


def find_network(network: Network) -> Path | None:
    """The file, without importing its package; None where the package is not installed."""
    spec = find_spec(network.package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / network.path
        if path.is_file():
            return path
    return None


def _words() -> Iterator[str]:
    yield from ("Deep", "weights", "Huffman 64", "small files", "2026", "codebook", "entropy 7.5", "Zero")


def _rendered(text: str, height: int, width: int) -> NDArray[np.float32]:
    """Black words on white, 0 to 1: float32 [height, width]."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), height * 5 // 8
    )
    image = Image.new("L", (width, height), 255)
    ImageDraw.Draw(image).text((height // 6, height // 8), text, fill=0, font=font)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _text_lines() -> Feeds:
    lines = np.stack([_rendered(word, 48, 320) for word in _words()])
    return {"x": np.repeat((lines * 2 - 1)[:, None, None], 3, axis=2)}


def _captchas() -> Feeds:
    return {"input1": np.stack([_rendered(word, 64, 320) for word in _words()])[:, None, None]}


def _pages(name: str, size: int, scale: float) -> Callable[[], Feeds]:
    def feeds() -> Feeds:
        pages = []
        for word in _words():
            page = np.ones((size, size), np.float32)
            page[size // 3 : size // 3 + size // 4] = _rendered(word, size // 4, size)
            page *= np.linspace(0.6, 1.0, size, dtype=np.float32)
            pages.append(np.stack([page, page[:, ::-1], page * 0.8]))
        return {name: np.stack(pages)[:, None] * np.float32(scale)}

    return feeds


def _sound() -> Feeds:
    """Half a second that rises and falls as a vowel does, then noise, then silence."""
    generator = np.random.default_rng(0)
    time = np.arange(576) / 16000
    frames = []
    for pitch, loudness in ((120, 0.5), (180, 0.3), (240, 0.4), (0, 0.0), (0, 0.2), (150, 0.6)):
        partials = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12)) if pitch else 0.0
        frames.append(loudness * (partials + generator.normal(scale=0.05, size=576)))
    sound = np.array(frames, np.float32)[:, None]
    return {
        "input": sound,
        "state": np.zeros((len(frames), 2, 1, 128), np.float32),
        "sr": np.full(len(frames), 16000, np.int64),
    }


def _sources() -> Feeds:
    """Beginnings and ends of files of the standard library and of data made here, as magika reads them."""
    import csv
    import html
    import json as json_module

    contents = [Path(module.__file__ or "").read_bytes() for module in (csv, html, json_module)]
    contents.append(json.dumps({"a": list(range(2000))}).encode())
    contents.append(b"<!doctype html><html><body>" + b"<p>words</p>\n" * 400 + b"</body></html>")
    contents.append(b"name,size\n" + b"".join(b"row%d,%d\n" % (i, i * i) for i in range(800)))
    rows = []
    for content in contents:
        begin = np.frombuffer(content.lstrip()[:1024], np.uint8).astype(np.int32)
        end = np.frombuffer(content.rstrip()[-1024:], np.uint8).astype(np.int32)
        row = np.full(2048, 256, np.int32)
        row[: begin.size], row[2048 - end.size :] = begin, end
        rows.append(row[None])
    return {"bytes": np.stack(rows)}


def _tones() -> Feeds:
    time = np.arange(43844) / 22050
    chords = [(220, 277, 330), (262, 330, 392), (440,), (196, 247, 294)]
    sounds = [sum(np.sin(2 * np.pi * pitch * time) / 3 for pitch in chord) for chord in chords]
    return {"serving_default_input_2:0": np.array(sounds, np.float32)[:, None, :, None]}


def _best(outputs: Outputs) -> Any:
    return outputs[0].argmax(axis=-1).tolist()


def _read(outputs: Outputs) -> Any:
    """Indices of the characters, repetitions and blanks taken out."""
    best = outputs[0][0].argmax(axis=-1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return best[changed & (best != 0)].tolist()


def _read_steps(outputs: Outputs) -> Any:
    """As `_read`, from scores by step, picture and character."""
    return _read([outputs[0].transpose(1, 0, 2)])


def _speech(outputs: Outputs) -> Any:
    return bool(outputs[0].reshape(-1)[0] > 0.5)


def _strongest(outputs: Outputs) -> Any:
    """Place of the most confident box."""
    return int(outputs[0][0, :, 4].argmax())


def _ink(outputs: Outputs) -> Any:
    """Which quarter rows hold text."""
    rows = (outputs[0][0, 0] > 0.3).mean(axis=1)
    return (rows.reshape(8, -1).mean(axis=1) > 0.05).tolist()


def _notes(outputs: Outputs) -> Any:
    return sorted(set((outputs[0][0] > 0.5).sum(axis=0).argsort()[-3:].tolist()))


NETWORKS: Mapping[str, Network] = {
    "silero-vad": Network("silero_vad", "data/silero_vad.onnx", _sound, _speech, "same decision"),
    "magika": Network("magika", "models/standard_v3_3/model.onnx", _sources, _best, "same label"),
    "rapidocr, recognition": Network(
        "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", _text_lines, _read, "same text"
    ),
    "rapidocr, detection": Network(
        "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", _pages("x", 320, 1.0), _ink, "same lines"
    ),
    "nudenet": Network("nudenet", "320n.onnx", _pages("images", 320, 1.0), None, ""),
    "ddddocr, recognition": Network("ddddocr", "common.onnx", _captchas, _read_steps, "same text"),
    "ddddocr, detection": Network(
        "ddddocr", "common_det.onnx", _pages("images", 416, 255.0), _strongest, "same best box"
    ),
    "basic-pitch": Network("basic_pitch", "saved_models/icassp_2022/nmp.onnx", _tones, _notes, "same notes"),
}
"""Networks by the name in the table."""


_CALLS = 100
"""Timed calls of either file: seconds for the slowest network, which takes 35 ms a call."""


def answers_of(model: Path, network: Network) -> list[Any]:
    """The task's answer for every feed; none where the network has no task here."""
    import onnxruntime

    answer = network.answer
    if answer is None:
        return []

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feeds = network.feeds()
    count = len(next(iter(feeds.values())))
    return [
        answer(session.run(None, {name: np.asarray(array[index]) for name, array in feeds.items()}))
        for index in range(count)
    ]


def _measure(name: str, network: Network, path: Path, bits: int) -> dict[str, Any]:
    from compress.rounding.feeds import save_arrays
    from compress.rounding.settings import PostTraining
    from deep_compress.jobs.onnx import compress_onnx

    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.onnx"
        save_arrays(data, network.feeds().items())
        report = compress_onnx(path, out, PostTraining(bits=bits), calibration=data)
        keep_names = {"short_names": False}
        place = Path(folder) / "named.onnx"
        named = compress_onnx(path, place, PostTraining(bits=bits), options=keep_names, calibration=data)
        before, after = answers_of(path, network), answers_of(out, network)
        first = {key: np.asarray(array[0]) for key, array in network.feeds().items()}
        inference = inference_ns({"before": path, "after": out}, first, _CALLS)
    same = sum(one == two for one, two in zip(before, after, strict=True))
    return {
        "network": name,
        "bits": bits,
        "max_load_memory": report.max_load_memory,
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "bytes_after_names_kept": named.bytes_after,
        "bytes_xz": len(lzma.compress(path.read_bytes(), preset=6)),
        "worst_error": report.worst_error,
        "mean_error": report.mean_error,
        "task": network.task,
        "same": same,
        "of": len(before),
        "load_s": list(report.load_s),
        "load_peak_bytes": list(report.load_peak_bytes),
        "inference_ns": inference,
        "notes": list(report.notes),
    }


def _line(row: Mapping[str, Any]) -> str:
    before, after = row["bytes_before"], row["bytes_after"]
    load = " → ".join(f"{1e3 * seconds:.0f}" for seconds in row["load_s"])
    peak = " → ".join(f"{size / 2**20:.0f}" for size in row["load_peak_bytes"])
    more = (row["load_peak_bytes"][1] - row["load_peak_bytes"][0]) / 2**20
    cells = (
        row["network"],
        f"{before:,}",
        f"{row['bytes_xz'] / before:.3f}",
        f"{after:,}",
        f"{after / before:.3f}",
        f"{row['bytes_after_names_kept'] / before:.3f}",
        f"{row['worst_error']:.1e}",
        f"{row['mean_error']:.1e}",
        f"{row['task']}: {row['same']} of {row['of']}" if row["of"] else "",
        load,
        " → ".join(f"{nanoseconds / 1e6:.2f}" for nanoseconds in row["inference_ns"].values()),
        f"{peak} (+{more:.0f} of {row['max_load_memory'] / 2**20:.0f})",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="compress onnx on real networks")
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {name: path for name, network in NETWORKS.items() if (path := find_network(network)) is not None}
    for name in NETWORKS.keys() - found.keys():
        print(f"{name}: not installed")
    columns = ["network", "bytes", "xz", "coded", "ratio", "names kept", "worst error", "mean error", "task"]
    columns += ["load, ms", "run, ms", "peak, MiB (more, of)"]
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}")
    rows = []
    for name, path in found.items():
        rows.append(_measure(name, NETWORKS[name], path, arguments.bits))
        print(_line(rows[-1]), flush=True)
    keep(arguments.json, rows=rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
