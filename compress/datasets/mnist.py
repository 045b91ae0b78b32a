"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28×28, embedded in this package.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition (1998), section III.A.
"""

from pathlib import Path

from compress.datasets.dataset import Dataset
from compress.datasets.idx import read_idx_dataset
from compress.datasets.sums import read_sums
from compress.errors import DataError

__all__ = ["load"]

_EMBEDDED = Path(__file__).with_name("mnist")


def load(directory: Path | None = None) -> Dataset:
    """Read MNIST from the package or from a directory of IDX files.

    Parameters
    ----------
    directory : Path, optional
        Holds the four files under their official names, plain, as .gz or as .xz. Their SHA-256 must be the official
        ones; a directory of other data in the same form brings a `SHA256SUMS` file of its own.

    Raises
    ------
    DataError
        A file is missing, damaged, or another one than the checksum says.
    """
    official = read_sums(_EMBEDDED)
    if official is None:
        raise DataError(f"{_EMBEDDED}: found no SHA256SUMS, the installation is incomplete")
    return read_idx_dataset(
        "mnist", directory or _EMBEDDED, official, classes=10, mean=0.1307, standard_deviation=0.3081
    )
