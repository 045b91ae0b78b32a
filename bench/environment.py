"""What the numbers were measured on: processor, memory, GPU, driver and versions; no host name, no path, no date."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["Environment", "Processor", "cpu_flags", "cpu_model", "describe_gpus", "environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Its name, the instruction sets that matter, its cores and those this process may use, and its governor."""

    model: str
    flags: tuple[str, ...]
    logical_cores: int | None
    usable_cores: int | None
    governor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine, the software, and how busy the machine was at that moment."""

    cpu: Processor
    memory_bytes: int
    gpus: tuple[Mapping[str, str], ...]
    system: str
    python: str
    compiler: str | None
    packages: Mapping[str, str]
    load_average: tuple[float, ...] | None


_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "sve", "sve2", "bf16", "i8mm",
)  # fmt: skip
"""The instruction sets that the kernels of a runtime are chosen by; /proc/cpuinfo lists a hundred others."""

_PACKAGES = (
    "numpy", "scipy", "torch", "triton", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "ai-edge-litert", "ncnn",
    "pnnx", "tensorrt", "zstandard",
)  # fmt: skip
"""Everything whose version moves a number here."""


_TIMEOUT_S = 30
"""For a tool that tells its version; `nvidia-smi` takes seconds where the driver has to be woken."""


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""


def cpu_model(cpuinfo: str) -> str:
    """The processor's name as the text of /proc/cpuinfo gives it, else as the platform does.

    >>> cpu_model("processor : 0\\nmodel name : Example 9000\\n")
    'Example 9000'
    """
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def cpu_flags(cpuinfo: str) -> tuple[str, ...]:
    """The instruction sets that matter to a kernel, in the order of this file, from the text of /proc/cpuinfo.

    >>> cpu_flags("flags : fpu avx512f fma avx2\\n")
    ('avx2', 'fma', 'avx512f')
    """
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            found = set(value.split())
            return tuple(flag for flag in _FLAGS if flag in found)
    return ()


def _governor() -> str | None:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text().strip() if path.exists() else None


def _version_line(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def describe_gpus() -> tuple[Mapping[str, str], ...]:
    """Name, driver and memory of every NVIDIA GPU that `nvidia-smi` sees; empty where there is none."""
    if shutil.which("nvidia-smi") is None:
        return ()
    fields = ("name", "driver_version", "memory.total", "clocks.max.sm", "power.limit")
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        return ()
    rows = [[value.strip() for value in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return tuple(dict(zip(fields, row, strict=False)) for row in rows)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment() -> Environment:
    """Describe the machine and the software as they are now."""
    cpuinfo = _cpuinfo()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Environment(
        cpu=Processor(
            model=cpu_model(cpuinfo),
            flags=cpu_flags(cpuinfo),
            logical_cores=os.cpu_count(),
            usable_cores=affinity,
            governor=_governor(),
        ),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=describe_gpus(),
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        python=f"{platform.python_implementation()} {sys.version.split()[0]}",
        compiler=_version_line([os.environ.get("CC", "cc"), "--version"]),
        packages=_versions(),
        load_average=tuple(round(value, 2) for value in os.getloadavg()) if hasattr(os, "getloadavg") else None,
    )
