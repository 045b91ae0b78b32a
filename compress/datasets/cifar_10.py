"""CIFAR-10: 50,000 training and 10,000 test photographs in 10 classes, 32×32 in colour.

Krizhevsky: Learning multiple layers of features from tiny images (2009).
"""

from pathlib import Path

from compress.datasets.cifar import CifarForm, read_cifar
from compress.datasets.dataset import Dataset

__all__ = ["load"]

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))

_FORM = CifarForm(
    name="cifar-10",
    classes=10,
    label_bytes=1,
    label_key="labels",
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    train=_TRAIN,
    test=("test_batch",),
    images=dict.fromkeys((*_TRAIN, "test_batch"), 10_000),
    sums={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    python_sums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    archive="CIFAR10",
    mean=(0.4914, 0.4822, 0.4465),
    standard_deviation=(0.2470, 0.2435, 0.2616),
)


def load(directory: Path | None = None) -> Dataset:
    """Read CIFAR-10's binary or Python batches; see `cifar.read_cifar`."""
    return read_cifar(_FORM, directory)
