"""Flash and RAM of a generated program, as a compiler and its `size` report them; the files stay as they are."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UnsupportedError

__all__ = ["CORTEX_M4", "Sizes", "sizes"]

CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os")
"""Flags of a common microcontroller."""

_TIMEOUT_S = 300
"""A compiler that takes so long for one file has hung, or the file was written with unroll="full"."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the compiled file: code, tables and initial values in flash; static memory that is written to in RAM."""

    compiler: str
    flags: tuple[str, ...]
    flash_bytes: int
    ram_bytes: int


def sizes(
    files: Mapping[str, bytes], *, compiler: str = "arm-none-eabi-gcc", flags: Sequence[str] = CORTEX_M4
) -> Sizes | None:
    """Compile what `dumps` or `emit` gave and read the sizes off the object file, without a C library.

    Parameters
    ----------
    files : mapping
        `.c` and `.h`.
    compiler : str
        Its `size` has the same prefix: arm-none-eabi-size for arm-none-eabi-gcc.
    flags : sequence of str

    Returns
    -------
    Sizes or None
        None where the compiler or its `size` is not installed.

    Raises
    ------
    UnsupportedError
        The compiler refuses the file or its flags.
    """
    head, _, last = compiler.rpartition("-")
    tool = f"{head}-size" if last in ("gcc", "clang", "cc") and head else "size"
    if shutil.which(compiler) is None or shutil.which(tool) is None:
        return None
    header = files[".h"].decode("ascii")
    stem = header.split(".h:", 1)[0].removeprefix("/* ")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix, content in files.items():
            (folder / f"{stem}{suffix}").write_bytes(content)
        command = [compiler, "-std=c99", *flags, "-c", f"{stem}.c", "-o", "object.o"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or ["silent"]
            raise UnsupportedError(f"{stem}.c: {compiler} {' '.join(flags)} refuses it ({lines[0]})")
        report = subprocess.run([tool, "object.o"], cwd=folder, capture_output=True, text=True, check=True)
    text, data, zero = (int(field) for field in report.stdout.splitlines()[1].split()[:3])
    return Sizes(compiler, tuple(flags), text + data, data + zero)
