"""Generated C compiled into a program and run: what the tests of the target `c` share."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

__all__ = ["PORTABLE", "SANITIZE", "build", "execute", "missing", "reference", "runner", "write_program"]

PORTABLE = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

Floats = NDArray[np.float32]


def reference(model: onnx.ModelProto, x: Floats) -> Floats:
    """What onnxruntime computes, one image at a time: a graph may fix its batch axis to one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in x])


def runner(stems: Sequence[str], count: int) -> str:
    """A main function: for every stem, `count` images from input to output, one by one and then as a batch."""
    body = "".join(
        f"""    {{
        static float x[{count} * {s.upper()}_INPUT_SIZE], y[{count} * {s.upper()}_OUTPUT_SIZE];
        if (fread(x, sizeof *x, sizeof x / sizeof *x, stdin) != sizeof x / sizeof *x) return 2;
        for (int i = 0; i < {count}; ++i)
            if ({s}_run(x + i * {s.upper()}_INPUT_SIZE, y + i * {s.upper()}_OUTPUT_SIZE)) return 3;
        fwrite(y, sizeof *y, sizeof y / sizeof *y, stdout);
        memset(y, 0, sizeof y);
        if ({s}_run_batch(x, y, {count})) return 4;
        fwrite(y, sizeof *y, sizeof y / sizeof *y, stdout);
    }}
"""
        for s in stems
    )
    includes = "".join(f'#include "{stem}.h"\n' for stem in stems)
    return f"#include <stdio.h>\n#include <string.h>\n{includes}\nint main(void) {{\n{body}    return 0;\n}}\n"


def write_program(folder: Path, files: Mapping[str, Mapping[str, bytes]], count: int) -> list[Path]:
    """Write every stem's files and the main function; returns the sources."""
    for stem, contents in files.items():
        for suffix, content in contents.items():
            (folder / f"{stem}{suffix}").write_bytes(content)
    (folder / "main.c").write_text(runner(list(files), count))
    return [folder / "main.c", *(folder / f"{stem}.c" for stem in files)]


def missing(compiler: str, flags: Sequence[str]) -> str | None:
    """Why a compiler cannot be used with these flags: it is not here, or lacks what they need."""
    path = shutil.which(compiler)
    if path is None:
        return f"found no {compiler}"
    with tempfile.TemporaryDirectory() as folder:
        command = [path, "-x", "c", "-", *flags, "-o", f"{folder}/program"]
        done = subprocess.run(
            command, input=b"int main(void) { return 0; }", capture_output=True, timeout=60, check=False
        )
    return f"{compiler} cannot link with {' '.join(flags)}" if done.returncode else None


def build(compiler: str, sources: Sequence[Path], program: Path, flags: Sequence[str]) -> None:
    """Compile and link; a warning is an error."""
    path = shutil.which(compiler)
    assert path is not None, compiler
    done = subprocess.run(
        [path, *PORTABLE, *flags, *map(str, sources), "-o", str(program), *([] if "-c" in flags else ["-lm"])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:4000]


def execute(
    command: Sequence[str], inputs: Sequence[Floats], sizes: Sequence[int], *, parse: Callable[[bytes], bytes] = bytes
) -> list[tuple[Floats, Floats]]:
    """Run a program over every stem's inputs; returns each one's results image by image, and as a batch."""
    done = subprocess.run(
        list(command), input=b"".join(x.tobytes() for x in inputs), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-4000:].decode(errors="replace"))
    results = np.frombuffer(parse(done.stdout), dtype=np.float32)
    out, start = [], 0
    for x, size in zip(inputs, sizes, strict=True):
        pair = []
        for _ in range(2):
            pair.append(results[start : start + len(x) * size].reshape(len(x), size))
            start += len(x) * size
        out.append((pair[0], pair[1]))
    assert start == results.size
    return out
