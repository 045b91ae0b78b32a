"""The parent's end of a contestant: a fresh process that loads, warms up and takes samples as it is asked."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import BenchError

__all__ = ["Contestant"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What NumPy's and torch's libraries read once, when they are loaded."""

_END_S = 20
"""For a process whose input has ended; a runtime on a GPU takes seconds to let go of it."""

_SHOWN = 300
"""Characters of a process's last words: a line of a table, not a page."""


class Contestant:
    """One runtime on one file at one batch size, in a process of its own.

    Parameters
    ----------
    runtime : str
        Name in RUNTIMES.
    path, inputs : Path
        The file to load, and the batch as .npy.
    directory : Path
        Where it may write.
    threads : int
    device : str
    cpus : tuple of int or None
        Cores that it is pinned to.
    timeout_s : float
        An answer that takes longer ends the process.
    """

    def __init__(
        self,
        *,
        runtime: str,
        path: Path,
        inputs: Path,
        directory: Path,
        threads: int,
        device: str,
        cpus: tuple[int, ...] | None,
        timeout_s: float,
    ) -> None:
        self._name, self._timeout_s = runtime, timeout_s
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        home = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = dict(os.environ, PYTHONPATH=search, **dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.latency.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )
        self._send(
            {
                "runtime": runtime,
                "path": str(path),
                "inputs": str(inputs),
                "directory": str(directory),
                "threads": threads,
                "device": device,
                "cpus": cpus,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, verb: str, *, timeout_s: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Send one request and wait for its answer, for as long as the contestant's time or `timeout_s` lasts.

        Raises
        ------
        BenchError
            The process says so, dies, or takes longer than its time.
        """
        self._send({"verb": verb, **arguments})
        assert self._process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        allowed_s = self._timeout_s if timeout_s is None else timeout_s
        timer = threading.Timer(allowed_s, end)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if late.is_set():
            raise BenchError(f"{verb}: found no answer within {allowed_s:g} s")
        if not line:
            raise BenchError(f"{verb}: the process ended ({self._last_words()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process and let go of its pipes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            self._process.kill()
        try:
            self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise BenchError(f"the process ended ({self._last_words()})") from error

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:_SHOWN] if lines else f"exit code {code}, no message"
