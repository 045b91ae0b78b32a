"""What a runtime is: how it says that it is here, how it prepares a file, loads it and runs it."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.graphs.read import plain_file

__all__ = [
    "CONVERTED_TOLERANCE",
    "LoadOptions",
    "Runtime",
    "Session",
    "missing_cuda",
    "missing_modules",
    "prepare_plain",
]

CONVERTED_TOLERANCE = 1e-4
"""Largest difference from the reference, over its largest absolute output, at which a time counts: the order
of a float32 sum makes a hundredth of that, a wrong operator makes far more."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a contestant is loaded: `inputs` is the batch (float32, batch axis first) that every call will run."""

    inputs: NDArray[np.float32]
    threads: int
    device: str


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded network with its batch in place.

    Parameters
    ----------
    call : callable
        One inference, start to end (on a GPU: until it is idle again). The batch is already where the runtime wants
        it, the output stays where the runtime puts it.
    read : callable
        The last output as float32 in the shape of the reference's.
    samples : callable, optional
        `samples(n)` gives n latencies in nanoseconds, for a runtime that holds its own clock.
    details : mapping
        What a reader of the number should know, by name; "clock" where it is another than the caller's.
    device_bytes : callable, optional
        The most memory that the runtime has held on the GPU.
    """

    call: Callable[[], object]
    read: Callable[[], NDArray[np.float32]]
    samples: Callable[[int], NDArray[np.int64]] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    device_bytes: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One way to run a file.

    Parameters
    ----------
    summary : str
        One line for `--help`.
    suffixes : tuple of str
        Suffixes of the files that it takes.
    devices : tuple of str
        Of "cpu" and "cuda", where it can run.
    modules : tuple of str
        Modules whose import counts as the runtime's import time.
    available : callable
        `available(device)` gives None, or the one-line reason why it cannot run here.
    load : callable
        `load(path, options)` gives a Session; the time it takes is the load time.
    prepare : callable, optional
        `prepare(path, directory, options)` converts the file ahead of time, uncounted, and gives the file to load.
    tolerance : float
        Largest allowed difference from the reference, over its largest absolute output.
    """

    summary: str
    suffixes: tuple[str, ...]
    devices: tuple[str, ...]
    modules: tuple[str, ...]
    available: Callable[[str], str | None]
    load: Callable[[Path, LoadOptions], Session]
    prepare: Callable[[Path, Path, LoadOptions], Path] | None = None
    tolerance: float = CONVERTED_TOLERANCE


def missing_modules(extra: str | None, *modules: str) -> str | None:
    """The reason why modules cannot be imported, or None; `extra` names the project's extra that brings them."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    hint = f", allowed after installing the extra [{extra}]" if extra else ""
    return f"found no module {' or '.join(missing)}{hint}"


@lru_cache(maxsize=1)
def missing_cuda() -> str | None:
    """The reason why torch cannot use a GPU here, or None; asked in a process of its own, so that ours stays free."""
    if reason := missing_modules(None, "torch"):
        return reason
    code = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        return f"torch cannot be imported ({(done.stderr.strip().splitlines() or ['no message'])[-1]})"
    version, cuda, found = done.stdout.split()
    if found == "True":
        return None
    if cuda == "None":
        return f"torch {version} is built without CUDA"
    return f"torch {version} finds no CUDA device"


def prepare_plain(path: Path, directory: Path, options: LoadOptions) -> Path:
    """The `prepare` of runtimes that read the operators themselves: standard operators, dense weights, fixed batch."""
    return plain_file(path, directory, options.inputs.shape[0])
