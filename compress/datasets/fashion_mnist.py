"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes in 10 classes, 28×28, in MNIST's form.

Xiao, Rasul, Vollgraf: Fashion-MNIST, a novel image dataset for benchmarking machine learning algorithms (2017).
"""

from pathlib import Path

from compress.datasets.dataset import Dataset
from compress.datasets.download import fetch
from compress.datasets.idx import read_idx_dataset

__all__ = ["load"]

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the four files."""

_SUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load(directory: Path | None = None) -> Dataset:
    """Read Fashion-MNIST from a directory of IDX files.

    Parameters
    ----------
    directory : Path, optional
        Holds the four files under their official names, plain, as .gz or as .xz, with the official SHA-256, or those
        of a `SHA256SUMS` file beside them. Without it, the place of Debian's package is read, and where that is not
        installed, what torchvision downloads.

    Raises
    ------
    DataError
        A file is missing, damaged, or another one than the checksum says, or the download fails.
    """
    if directory is None:
        directory = _DEBIAN if _DEBIAN.is_dir() else _download()
    return read_idx_dataset("fashion-mnist", directory, _SUMS, classes=10, mean=0.2860, standard_deviation=0.3530)


def _download() -> Path:
    def work(cache: Path) -> None:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(cache, download=True)

    advice = "--data-dir with the four IDX files, or Debian's package dataset-fashion-mnist"
    return fetch("fashion-mnist", work, advice) / "FashionMNIST" / "raw"
