"""What is composed above the rooms: whole jobs that the command line, a sweep or a caller's own program runs."""

from deep_compress.jobs.files import evaluate_file, export_file, read_file, verify_file
from deep_compress.jobs.full_run import RUNS, RunResult, run
from deep_compress.jobs.measure import bench_energy, bench_latency, bench_layers, bench_report, bench_size

__all__ = [
    "RUNS",
    "RunResult",
    "bench_energy",
    "bench_latency",
    "bench_layers",
    "bench_report",
    "bench_size",
    "evaluate_file",
    "export_file",
    "read_file",
    "run",
    "verify_file",
]
