"""Runtimes `c` and `c-inside`: a generated NAME.c with its NAME.h, compiled by the system's compiler.

`c` times a call from Python through ctypes, input and output bound before, as every other runtime is timed;
`c-inside` reads the clock in C, around the call alone.
"""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.runtimes.base import LoadOptions, Runtime, Session

__all__ = ["INSIDE", "RUNTIME", "aligned", "bound", "compile_c"]

_FLAGS = ("-std=c99", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
"""The fastest code that stays C99 and right: no -ffast-math, which would let the compiler reorder sums."""

_ALIGNMENT = 64
"""Bytes of a cache line, and of the widest vector register."""

_COMPILER_TIMEOUT_S = 500
"""Less than the contestant's own time (600 s), so that a C file of many megabytes fails by this name."""

_SHIM = """\
#define _POSIX_C_SOURCE 199309L
#include <time.h>
#include "{header}"

int bench_input_size(void);
int bench_output_size(void);
int bench_bind(const float *x, float *y, int batch);
int bench_call(void);
int bench_samples(const float *x, float *y, int batch, int count, long long *latency_ns);

static const float *bound_x;
static float *bound_y;
static int bound_batch;

int bench_bind(const float *x, float *y, int batch) {{
    bound_x = x;
    bound_y = y;
    bound_batch = batch;
    return x == 0 || y == 0 || batch < 1;
}}

int bench_call(void) {{
    if (bound_batch == 1) return {name}_run(bound_x, bound_y);
    return {name}_run_batch(bound_x, bound_y, bound_batch);
}}

int bench_input_size(void) {{ return (int)({macro}_INPUT_SIZE); }}
int bench_output_size(void) {{ return (int)({macro}_OUTPUT_SIZE); }}

static long long now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
}}

int bench_samples(const float *x, float *y, int batch, int count, long long *latency_ns) {{
    for (int i = 0; i < count; ++i) {{
        const long long start = now();
        const int status = batch == 1 ? {name}_run(x, y) : {name}_run_batch(x, y, batch);
        latency_ns[i] = now() - start;
        if (status != 0) return status;
    }}
    return 0;
}}
"""


def _compiler() -> str:
    return os.environ.get("CC", "cc")


def _available(device: str) -> str | None:
    if shutil.which(_compiler()) is None:
        return f"found no C compiler {_compiler()}"
    return None


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros, float32, beginning on 64 bytes."""
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(np.float32).reshape(shape)


def _names(header: Path) -> tuple[str, str]:
    """The name that the functions begin with, and the one that the macros do."""
    try:
        text = header.read_text()
    except OSError as error:
        raise BenchError(
            f"{header}: found no readable header ({error.strerror}), allowed one beside the C file"
        ) from error
    function = re.search(r"\b(\w+)_run_batch\s*\(", text)
    macro = re.search(r"#\s*define\s+(\w+)_INPUT_SIZE\b", text)
    if function is None or macro is None:
        raise BenchError(f"{header.name}: found no NAME_run_batch or NAME_INPUT_SIZE, allowed a header of target c")
    return function[1], macro[1]


def compile_c(path: Path, directory: Path) -> Path:
    """Compile a generated C file, with a clock beside it, to a shared library; every warning stays a warning.

    Raises
    ------
    BenchError
        There is no header, or the compiler refuses the file.
    """
    header = path.with_suffix(".h")
    name, macro = _names(header)
    shim, target = directory / "bench_shim.c", directory / "network.so"
    shim.write_text(_SHIM.format(header=header.name, macro=macro, name=name))
    command = [_compiler(), *_FLAGS, "-I", str(path.parent), str(path), str(shim), "-o", str(target), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILER_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{path.name}: {_compiler()} took longer than {_COMPILER_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["silent"]
        raise BenchError(f"{path.name}: {_compiler()} refuses it ({lines[0]})")
    return target


def _prepare(path: Path, directory: Path, options: LoadOptions) -> Path:
    library = compile_c(path, directory)
    (directory / "name").write_text(_names(path.with_suffix(".h"))[0])
    return library


def _open(path: Path, options: LoadOptions) -> tuple[ctypes.CDLL, NDArray[np.float32], NDArray[np.float32]]:
    """The library, and its input and output in place."""
    library = ctypes.CDLL(str(path))
    batch = options.inputs.shape[0]
    size = library.bench_input_size()
    if options.inputs[0].size != size:
        raise BenchError(f"input: found {options.inputs[0].size} values an image, allowed the C file's {size}")
    x, y = aligned((batch, size)), aligned((batch, library.bench_output_size()))
    x[:] = options.inputs.reshape(batch, size)
    return library, x, y


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    """The array's address, in an object that keeps the array alive."""
    return array.ctypes.data_as(ctypes.c_void_p)


_ERROR_STATUS = "the C file: found an error status, allowed 0"
_DETAILS = {"threads": 1, "flags": " ".join(_FLAGS)}


def bound(path: Path, x: NDArray[np.float32], y: NDArray[np.float32]) -> Callable[[], int]:
    """A function without arguments that runs a library of `compile_c` from x to y.

    Input and output are bound once, as LiteRT's `invoke` and OpenVINO's `infer` have them, so that nothing is
    converted in a call; and the interpreter's lock is kept, as it should be for a few microseconds.

    It returns the C function's status.
    """
    library = ctypes.PyDLL(str(path))
    refused = library.bench_bind(_pointer(x), _pointer(y), len(x))
    assert not refused, "an array has an address"
    call: Any = library.bench_call
    call.arrays = x, y  # They stay alive as long as the function.
    function: Callable[[], int] = call
    return function


def _load(path: Path, options: LoadOptions) -> Session:
    _, x, y = _open(path, options)
    call = bound(path, x, y)

    def output() -> NDArray[np.float32]:
        if call():
            raise BenchError(_ERROR_STATUS)
        return y.copy()

    return Session(call, output, details=_DETAILS)


def _load_inside(path: Path, options: LoadOptions) -> Session:
    library, x, y = _open(path, options)
    source, sink = _pointer(x), _pointer(y)

    def samples(count: int) -> NDArray[np.int64]:
        taken = np.empty(count, dtype=np.int64)
        if library.bench_samples(source, sink, len(x), count, _pointer(taken)):
            raise BenchError(_ERROR_STATUS)
        return taken

    return Session(lambda: samples(1), y.copy, samples, {**_DETAILS, "clock": "in C"})


RUNTIME = Runtime(
    summary="a file of target c, compiled here for this very processor, called through ctypes; one thread",
    suffixes=(".c",),
    devices=("cpu",),
    modules=(),
    available=_available,
    load=_load,
    prepare=_prepare,
)

INSIDE = Runtime(
    summary="the same, timed inside C, without the call from Python",
    suffixes=(".c",),
    devices=("cpu",),
    modules=(),
    available=_available,
    load=_load_inside,
    prepare=_prepare,
)
