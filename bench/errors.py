"""What can go wrong in a measurement: one line that names the thing, what was found and what is allowed."""

__all__ = ["BenchError", "BenchUsageError", "ReportError", "first_line"]


class BenchError(Exception):
    """A measurement that cannot be made or whose files are wrong; the command line exits with `exit_code`."""

    exit_code = 1


class BenchUsageError(BenchError):
    """An option outside what is allowed."""

    exit_code = 2


class ReportError(BenchError):
    """JSON that is none of our reports: another kind or version, or fields that are missing, wrong or unknown."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its type where it says nothing: what goes into a message of our own.

    >>> first_line(ValueError("  a\\nb")), first_line(ValueError())
    ('a', 'ValueError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
