"""`bench energy`: joules an inference from the machine's own counters, or the reason why there is no honest figure.

The processor's counter (RAPL) is that of the whole package and the GPU's
(NVML) that of the whole board: neither knows which process spent the energy.
So the idle power is measured first, with nothing of ours running, and is
subtracted; and a machine that is busy with something else is refused.
"""

import ctypes
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.environment import Environment, environment
from bench.errors import BenchError, BenchUsageError
from bench.latency.loading import Entry, open_contestants, pairs_of
from bench.latency.values import LatencyConfig
from bench.progress import Progress, Steps
from bench.versioned import Versioned

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["EnergyReport", "EnergyRow", "Meter", "find_meter", "measure_energy", "render_energy"]

POWERCAP = Path("/sys/class/powercap")
_BUSY_LIMIT = 0.05
"""Largest share of the processor that others may use while we measure the idle power: an idle Linux uses one or two in
a hundred, and what they use more would be counted as idle and subtracted from ours."""

_NVML_LIBRARY = "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class Meter:
    """A counter of energy.

    Parameters
    ----------
    name : str
        What it counts.
    read_uj : callable
        Microjoules since some moment.
    range_uj : int or None
        Where the counter starts again from zero; None where it does not.
    """

    name: str
    read_uj: Callable[[], int]
    range_uj: int | None = None

    def between(self, before: int, after: int) -> int:
        """Microjoules from one reading to a later one, over at most one new start."""
        if after >= before or self.range_uj is None:
            return after - before
        return after + self.range_uj - before


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """One contestant: calls in `seconds`, whole energy, what the idle machine would have used, joules an image net."""

    label: str
    runtime: str
    batch_size: int
    status: str
    reason: str | None = None
    calls: int = 0
    seconds: float = 0.0
    gross_joules: float = 0.0
    idle_joules: float = 0.0
    joules_an_image: float | None = None


@dataclass(frozen=True, slots=True)
class EnergyReport(Versioned):
    """All rows of one run, the counter's name and the idle power in watts."""

    KIND: ClassVar[str] = "energy"

    meter: str
    idle_watts: float
    environment: Environment
    rows: tuple[EnergyRow, ...]


def find_meter(device: str, powercap: Path = POWERCAP) -> Meter:
    """The energy counter of a device.

    Raises
    ------
    BenchError
        There is none that may be read: the usual case in a virtual machine, and without root since the counters were
        found to leak secrets (CVE-2020-8694).
    """
    return _nvml() if device == "cuda" else _rapl(powercap)


def _rapl(powercap: Path) -> Meter:
    packages = sorted(path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1)
    if not packages:
        raise BenchError(f"energy: found no RAPL counter under {powercap}, allowed a machine that exposes one")
    try:
        names = [(path / "name").read_text().strip() for path in packages]
        ranges = [int((path / "max_energy_range_uj").read_text()) for path in packages]
        first = [int((path / "energy_uj").read_text()) for path in packages]
    except OSError as error:
        raise BenchError(f"energy: found RAPL counters that cannot be read ({error.strerror}), allowed root") from error
    if len(packages) > 1:
        found = ", ".join(names)
        raise BenchError(f"energy: found {len(packages)} RAPL packages ({found}), allowed one: ours may run on any")
    counter = packages[0] / "energy_uj"
    time.sleep(0.1)
    if int(counter.read_text()) == first[0]:
        raise BenchError(f"energy: found a RAPL counter that stands still at {first[0]} µJ, allowed one that counts")
    return Meter(f"RAPL {names[0]}", lambda: int(counter.read_text()), ranges[0])


def _nvml() -> Meter:
    try:
        library = ctypes.CDLL(_NVML_LIBRARY)
    except OSError as error:
        raise BenchError(f"energy: found no {_NVML_LIBRARY}, allowed a machine with an NVIDIA driver") from error
    handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()

    def require(status: int, what: str) -> None:
        if status != 0:
            raise BenchError(f"energy: NVML cannot {what} (code {status}), allowed a GPU that counts its energy")

    require(library.nvmlInit_v2(), "start")
    require(library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)), "find GPU 0")

    def read() -> int:
        require(library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy)), "read the energy")
        return int(energy.value) * 1000

    read()
    return Meter("NVML total energy of GPU 0", read)


def _busy_and_total() -> tuple[int, int]:
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def _idle_watts(meter: Meter, seconds: float) -> float:
    busy, total = _busy_and_total()
    before, start = meter.read_uj(), time.perf_counter()
    time.sleep(seconds)
    used, elapsed = meter.between(before, meter.read_uj()), time.perf_counter() - start
    busy_after, total_after = _busy_and_total()
    share = (busy_after - busy) / max(1, total_after - total)
    if share > _BUSY_LIMIT:
        raise BenchError(f"energy: found the machine {share:.0%} busy with other work, allowed {_BUSY_LIMIT:.0%}")
    return used / 1e6 / elapsed


def measure_energy(
    config: LatencyConfig, seconds: float = 10.0, meter: Meter | None = None, progress: Progress | None = None
) -> EnergyReport:
    """Run every contestant alone for `seconds` and read the counter before and after.

    Parameters
    ----------
    config : LatencyConfig
        Its rounds, iterations and max_seconds are not used.
    seconds : float
        For each contestant, and for the idle machine before them.
    meter : Meter, optional
        The device's own by default.
    progress : callable, optional
        Called with (done, total, label).

    Raises
    ------
    BenchError
        No counter can be read, or the machine is busy.
    """
    if not seconds > 0:
        raise BenchUsageError(f"seconds: found {seconds}, allowed above 0")
    pairs = pairs_of(config)
    counter = meter or find_meter(config.device)
    described = environment()
    idle = _idle_watts(counter, seconds)
    steps = Steps(2 * len(pairs) * len(config.batch_sizes), progress)
    rows = []
    for batch_size in config.batch_sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            for entry in open_contestants(config, batch_size, Path(folder), stack, steps.take):
                steps.take(f"batch {batch_size}: run {entry.measurement.label} in {entry.measurement.runtime}")
                rows.append(_row(entry, counter, idle, seconds))
    return EnergyReport(counter.name, idle, described, tuple(rows))


def _row(entry: Entry, meter: Meter, idle: float, seconds: float) -> EnergyRow:
    measurement = entry.measurement
    who = (measurement.label, measurement.runtime, measurement.batch_size)
    if entry.contestant is None:
        return EnergyRow(*who, measurement.status, measurement.reason)
    before = meter.read_uj()
    try:
        spent = entry.contestant.ask("spin", seconds=seconds)
    except BenchError as error:
        return EnergyRow(*who, "failed", str(error))
    gross = meter.between(before, meter.read_uj()) / 1e6
    elapsed = spent["elapsed_ns"] / 1e9
    base = idle * elapsed
    images = spent["calls"] * measurement.batch_size
    return EnergyRow(*who, "measured", None, spent["calls"], elapsed, gross, base, (gross - base) / images)


def render_energy(report: EnergyReport) -> "Table":
    """The report as a rich table."""
    from rich.table import Table

    table = Table(title=f"Energy by {report.meter}, idle power {report.idle_watts:.1f} W subtracted")
    for name in ("file", "runtime"):
        table.add_column(name)
    for name in ("batch", "calls", "seconds", "joules", "of which idle", "µJ an image"):
        table.add_column(name, justify="right")
    for row in report.rows:
        if row.joules_an_image is None:
            table.add_row(row.label, row.runtime, str(row.batch_size), f"{row.status}: {row.reason}")
            continue
        table.add_row(
            row.label,
            row.runtime,
            str(row.batch_size),
            f"{row.calls:,}",
            f"{row.seconds:.1f}",
            f"{row.gross_joules:.1f}",
            f"{row.idle_joules:.1f}",
            f"{row.joules_an_image * 1e6:,.1f}",
        )
    return table
