"""The failures a user can meet, as types: each carries one line that says what, what was found, what is allowed."""

__all__ = [
    "CompressError",
    "CorruptFileError",
    "DataError",
    "UnsupportedError",
    "UsageError",
    "WeightsError",
    "first_line",
]


class CompressError(Exception):
    """A failure with a one-line message for the user; the command line exits with `exit_code`."""

    exit_code = 1


class UsageError(CompressError):
    """An option or recipe field outside what is allowed."""

    exit_code = 2


class CorruptFileError(CompressError):
    """A packed file that breaks FORMAT.md: truncated, altered, or never one of ours."""


class DataError(CompressError):
    """A data set that is missing, incomplete, or not the one it claims to be."""


class WeightsError(CompressError):
    """Weights that do not belong to the network, or are NaN or infinite."""


class UnsupportedError(CompressError):
    """Something that this target, runtime or machine cannot do."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its type where it says nothing: what goes into a message of our own.

    >>> first_line(ValueError("  a\\nb")), first_line(ValueError())
    ('a', 'ValueError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
