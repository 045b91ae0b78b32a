"""CIFAR-100: 50,000 training and 10,000 test photographs in 100 classes (the fine labels), 32×32 in colour.

Krizhevsky: Learning multiple layers of features from tiny images (2009).
"""

from pathlib import Path

from compress.datasets.cifar import CifarForm, read_cifar
from compress.datasets.dataset import Dataset

__all__ = ["load"]

_FORM = CifarForm(
    name="cifar-100",
    classes=100,
    label_bytes=2,
    label_key="fine_labels",
    binary="cifar-100-binary",
    python="cifar-100-python",
    train=("train",),
    test=("test",),
    images={"train": 50_000, "test": 10_000},
    sums={},
    python_sums={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    archive="CIFAR100",
    mean=(0.5071, 0.4865, 0.4409),
    standard_deviation=(0.2673, 0.2564, 0.2762),
)


def load(directory: Path | None = None) -> Dataset:
    """Read CIFAR-100's binary or Python batches; see `cifar.read_cifar`."""
    return read_cifar(_FORM, directory)
