"""What can go wrong in a measurement: one line that names the thing, what was found and what is allowed."""

__all__ = ["BenchError", "BenchUsageError"]


class BenchError(Exception):
    """A measurement that cannot be made or whose files are wrong; the command line exits with `exit_code`."""

    exit_code = 1


class BenchUsageError(BenchError):
    """An option outside what is allowed."""

    exit_code = 2
