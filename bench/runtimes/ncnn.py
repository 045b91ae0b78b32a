"""Runtime `ncnn`: converted by pnnx, run an image at a time, because ncnn knows no batch axis."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    if reason := missing_modules("ncnn", "ncnn", "pnnx"):
        return reason
    return None if _converter() else "found no program pnnx beside this Python or on the search path"


def _converter() -> str | None:
    beside = Path(sys.executable).parent / "pnnx"
    return str(beside) if beside.exists() else shutil.which("pnnx")


def _prepare(path: Path, directory: Path, options: LoadOptions) -> Path:
    """Convert for one image, in float32."""
    single = LoadOptions(options.inputs[:1], options.threads, options.device)
    plain = prepare_plain(path, directory, single)
    shape = ",".join(map(str, single.inputs.shape))
    command = [str(_converter()), plain.name, f"inputshape=[{shape}]", "fp16=0"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    target = directory / "plain.ncnn.param"
    if done.returncode != 0 or not target.exists():
        words = [line for line in done.stderr.splitlines() if line.strip()]
        raise BenchError(f"{path.name}: pnnx refuses it ({words[-1] if words else f'exit code {done.returncode}'})")
    _check_operators(target)
    return target


def _check_operators(param: Path) -> None:
    """pnnx leaves operators that it cannot lower under their own dotted names, which ncnn then cannot load."""
    for line in param.read_text().splitlines()[2:]:
        kind = line.split()[0]
        if "." in kind:
            raise BenchError(f"operator: found {kind} after pnnx, allowed ncnn's own layers")


def _load(path: Path, options: LoadOptions) -> Session:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = options.threads
    net.opt.use_vulkan_compute = False
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    weights = path.with_suffix(".bin")
    if net.load_param(str(path)) != 0 or net.load_model(str(weights)) != 0:
        raise BenchError(f"{path.name}: ncnn refuses it")
    source, sink = net.input_names()[0], net.output_names()[0]
    images = [ncnn.Mat(image).clone() for image in options.inputs]
    outputs: list[NDArray[np.float32]] = []

    def call() -> None:
        outputs.clear()
        for image in images:
            with net.create_extractor() as extractor:
                extractor.input(source, image)
                outputs.append(np.array(extractor.extract(sink)[1]))

    return Session(call, lambda: np.stack(outputs).astype(np.float32), details={"batch": "one image after the other"})


RUNTIME = Runtime(
    summary="ncnn on the CPU, float32, converted by pnnx, one image after the other",
    suffixes=(".onnx",),
    devices=("cpu",),
    modules=("ncnn",),
    available=_available,
    load=_load,
    prepare=_prepare,
)
