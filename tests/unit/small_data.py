"""A data set that is learned in moments: the brightest of the first ten pixels is the label."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.datasets import Dataset, Examples

__all__ = ["FIELDS", "load", "used"]

FIELDS = {
    "network": "lenet-300-100(size=8)", "held_out": 60, "batch_size": 20, "epochs": 20, "shift": 0,
    "optimiser": "adam", "learning_rate": 0.003, "retrain_learning_rate": 0.003, "rounds": 2, "retrain_epochs": 2,
    "tune_epochs": 1,
}  # fmt: skip
"""Of a recipe that fits it."""


def load(text: str, directory: Path | None = None) -> Dataset:
    """In place of `load_dataset`."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 100, (400, 1, 8, 8), dtype=np.uint8)
    labels = generator.integers(0, 10, 400)
    images.reshape(400, -1)[np.arange(400), labels] = 255
    return Dataset(
        "small", Examples(images[:300], labels[:300]), Examples(images[300:], labels[300:]), 10, (0.2,), (0.14,)
    )


@contextmanager
def used() -> Iterator[None]:
    """Jobs read it, whatever data they name, and compute in one thread: more would wait for each other here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deep_compress.jobs.prepare.load_dataset", load)
        yield
    torch.set_num_threads(threads)
