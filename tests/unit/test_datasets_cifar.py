"""CIFAR-10 and CIFAR-100: both versions of their files, and everything that can be wrong with them."""

import hashlib
import struct
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.datasets import cifar, cifar_10, cifar_100, load_dataset
from compress.errors import DataError

NAMES = {
    "cifar-10": [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"],
    "cifar-100": ["train", "test"],
}
CLASSES = {"cifar-10": 10, "cifar-100": 100}
BINARY = {"cifar-10": "cifar-10-batches-bin", "cifar-100": "cifar-100-binary"}
PYTHON = {"cifar-10": "cifar-10-batches-py", "cifar-100": "cifar-100-python"}


def _batch(name: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Three made-up images, uint8 [3, 3072], and their labels."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (3, 3072), dtype=np.uint8), rng.integers(0, CLASSES[name], 3)


def _binary(name: str, pixels: np.ndarray, labels: np.ndarray) -> bytes:
    coarse = [np.full((3, 1), 19)] if name == "cifar-100" else []
    return np.concatenate([*coarse, labels[:, None], pixels], axis=1).astype(np.uint8).tobytes()


def _python(name: str, pixels: np.ndarray, labels: np.ndarray) -> bytes:
    """The instructions of which a Python batch consists, as Python 2 wrote them."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def numbers(values: np.ndarray) -> bytes:
        return b"](" + b"".join(b"K" + bytes([int(value)]) for value in values) + b"e"

    keys = b"fine_labels" if name == "cifar-100" else b"labels"
    coarse = text(b"coarse_labels") + numbers(np.full(len(labels), 19)) if name == "cifar-100" else b""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87R(K\x01K\x03M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + (b"T" + struct.pack("<i", pixels.size) + pixels.tobytes())
        + b"tb"
    )
    return (
        b"\x80\x02}q\x01("
        + (text(b"batch_label") + text(b"training batch 1 of 5"))
        + (text(keys) + numbers(labels) + coarse)
        + (text(b"data") + array)
        + (text(b"filenames") + b"](" + text(b"frog_s_000001.png") + text(b"cat_s_000002.png") + b"e")
        + b"u."
    )


def _sums(folder: Path) -> None:
    files = [path for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def _write(name: str, folder: Path, *, binary: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, stem in enumerate(NAMES[name]):
        content = (_binary if binary else _python)(name, *_batch(name, number))
        (folder / (f"{stem}.bin" if binary else stem)).write_bytes(content)
    _sums(folder)
    return folder


def _message(name: str, directory: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(name, directory)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("below", [True, False])
def test_both_versions_give_the_images_in_order(name: str, binary: bool, below: bool, tmp_path: Path) -> None:
    folder = (BINARY if binary else PYTHON)[name] if below else "."
    _write(name, tmp_path / folder, binary=binary)
    dataset = load_dataset(name, tmp_path)
    batches = [_batch(name, number) for number in range(len(NAMES[name]))]
    assert np.array_equal(dataset.train.labels, np.concatenate([labels for _, labels in batches[:-1]]))
    assert np.array_equal(dataset.test.labels, batches[-1][1])
    expected = np.concatenate([pixels for pixels, _ in batches[:-1]]).reshape(-1, 3, 32, 32)
    assert np.array_equal(dataset.train.images, expected)
    assert np.array_equal(dataset.test.images[1, 2, 31], batches[-1][0][1, -32:])
    assert (dataset.name, dataset.classes, dataset.channels, dataset.size) == (name, CLASSES[name], 3, 32)


def test_a_python_batch_is_never_executed(tmp_path: Path) -> None:
    _write("cifar-10", tmp_path, binary=False)
    path, victim = tmp_path / "test_batch", tmp_path / "written"
    command = f"touch {victim}".encode()
    attack = b"cos\nsystem\n(X" + struct.pack("<i", len(command)) + command + b"tR0"
    content = path.read_bytes()
    path.write_bytes(content[:2] + attack + content[2:])
    _sums(tmp_path)
    assert len(load_dataset("cifar-10", tmp_path).test) == 3
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no batch of CIFAR's Python version (pickle exhausted before seeing STOP)"),
        (b"\xff\xff", "found no batch of CIFAR's Python version (at position 0, opcode b'\\xff' unknown)"),
        (b"\x80\x02}.", "found 0 labels and 0 bytes of pixels, allowed 3072 bytes for every label"),
        (
            _python("cifar-10", np.zeros((2, 3072), np.uint8), np.zeros(3, np.uint8)),
            "found 3 labels and 6144 bytes of pixels, allowed 3072 bytes for every label",
        ),
        (
            _python("cifar-10", np.zeros((3, 3072), np.uint8), np.array([3, 10, 4])),
            "found the label 10 on image 1, allowed 0 to 9",
        ),
    ],
)
def test_a_python_batch_that_is_none_gets_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    _write("cifar-10", tmp_path, binary=False)
    path = tmp_path / "data_batch_2"
    path.write_bytes(content)
    _sums(tmp_path)
    assert _message("cifar-10", tmp_path) == f"{path}: {message}"


@pytest.mark.parametrize(("name", "record"), [("cifar-10", 3073), ("cifar-100", 3074)])
def test_a_binary_batch_of_the_wrong_length_gets_one_line(name: str, record: int, tmp_path: Path) -> None:
    _write(name, tmp_path)
    path = tmp_path / f"{NAMES[name][0]}.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    found = f"{path}: found {len(content) - 1} bytes"
    assert _message(name, tmp_path) == f"{found}, allowed a multiple of {record}, which is one image"
    (tmp_path / "SHA256SUMS").unlink()
    expected = record * (50_000 if name == "cifar-100" else 10_000)
    assert _message(name, tmp_path) == f"{found}, allowed {expected}, of {record} an image"


@pytest.mark.parametrize(("name", "label"), [("cifar-10", 10), ("cifar-100", 100)])
def test_a_label_out_of_range_gets_one_line(name: str, label: int, tmp_path: Path) -> None:
    _write(name, tmp_path)
    pixels, labels = _batch(name, 0)
    labels[2] = label
    path = tmp_path / f"{NAMES[name][0]}.bin"
    path.write_bytes(_binary(name, pixels, labels))
    _sums(tmp_path)
    assert _message(name, tmp_path) == f"{path}: found the label {label} on image 2, allowed 0 to {CLASSES[name] - 1}"


@pytest.mark.parametrize("binary", [True, False])
def test_a_flipped_bit_is_found(binary: bool, tmp_path: Path) -> None:
    _write("cifar-10", tmp_path, binary=binary)
    path = tmp_path / ("data_batch_3.bin" if binary else "data_batch_3")
    allowed = hashlib.sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    assert _message("cifar-10", tmp_path) == f"{path}: found SHA-256 {found}, allowed {allowed}"


def test_without_sums_beside_them_the_official_ones_count(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes(30_730_000))
    digest = hashlib.sha256(bytes(30_730_000)).hexdigest()
    official = "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"
    assert _message("cifar-10", tmp_path) == f"{path}: found SHA-256 {digest}, allowed {official}"
    path.unlink()
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02}.")
    digest = hashlib.md5(b"\x80\x02}.").hexdigest()  # noqa: S324 - what the distribution gives
    assert _message("cifar-10", tmp_path) == (f"{path}: found MD5 {digest}, allowed c99cafc152244af753f735de768cd75f")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert _message("cifar-10", nowhere) == (
        f"{nowhere}: found no such directory, allowed one that holds the batches of cifar-10"
    )
    assert _message("cifar-100", tmp_path) == (
        f"{tmp_path}: found no train.bin, allowed a directory with the files of cifar-100-binary or cifar-100-python, "
        "or with one of these folders"
    )
    _write("cifar-10", tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    assert _message("cifar-10", tmp_path) == f"{tmp_path}: found no data_batch_4.bin, allowed every batch of cifar-10"


@pytest.mark.parametrize("name", NAMES)
def test_without_any_file_or_torchvision_it_gets_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    message = _message(name, None)
    assert message.startswith(f"{name}: found none here, and the download failed (")
    assert message.endswith(f"), allowed --data-dir with the files of {BINARY[name]} or {PYTHON[name]}")
    assert "\n" not in message


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_download_is_the_last_resort(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Path], str]
) -> None:
    datasets = pytest.importorskip("torchvision.datasets", exc_type=ImportError)
    _write(name, tmp_path / PYTHON[name], binary=False)
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / PYTHON[name], PYTHON[name])
    kind = {"cifar-10": datasets.CIFAR10, "cifar-100": datasets.CIFAR100}[name]
    monkeypatch.setattr(kind, "url", f"{serve(tmp_path)}/{archive.name}")
    digest = hashlib.md5(archive.read_bytes()).hexdigest()  # noqa: S324 - torchvision's own check
    monkeypatch.setattr(kind, "tgz_md5", digest)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(load_dataset(name).test) == 3
    archive.unlink()
    assert len(load_dataset(name).test) == 3


def test_the_two_forms_know_every_file_of_their_archives() -> None:
    for form in (cifar_10._FORM, cifar_100._FORM):
        names = {*form.train, *form.test}
        assert set(form.images) == set(form.python_sums) == names
        assert set(form.sums) in (set(), {f"{name}.bin" for name in names})
        assert sum(form.images[name] for name in form.train) == 50_000
        assert cifar.PIXELS == 3072
