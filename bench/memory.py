"""How much memory this process holds, and has held at most."""

import sys
from pathlib import Path

__all__ = ["memory_bytes"]


def memory_bytes(field: str) -> int:
    """A line of /proc/self/status in bytes: VmHWM is the peak of this very process, which getrusage's figure is not
    (that one starts from the parent's). Elsewhere than on Linux, getrusage has to do."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
