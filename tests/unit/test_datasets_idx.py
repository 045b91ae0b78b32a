"""MNIST and Fashion-MNIST: the embedded files, a directory of one's own, and everything that can be wrong with it."""

import gzip
import hashlib
import lzma
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.datasets import DATASETS, fashion_mnist, load_dataset, mnist
from compress.errors import DataError

IMAGES = {"train-images-idx3-ubyte": 6, "t10k-images-idx3-ubyte": 4}
LABELS = {"train-labels-idx1-ubyte": 6, "t10k-labels-idx1-ubyte": 4}


def _idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    images = {name: _idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)) for name, n in IMAGES.items()}
    return images | {name: _idx(np.arange(n, dtype=np.uint8)) for name, n in LABELS.items()}


def _write(directory: Path, files: dict[str, bytes], suffix: str = "", pack: Callable[[bytes], bytes] = bytes) -> Path:
    directory.mkdir(exist_ok=True)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    (directory / "SHA256SUMS").write_text("".join(lines), "utf-8")
    for name, content in files.items():
        (directory / (name + suffix)).write_bytes(pack(content))
    return directory


def _message(directory: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", directory)
    return str(caught.value)


def test_the_embedded_mnist_is_complete() -> None:
    dataset = load_dataset("mnist")
    assert dataset.train.images.shape == (60_000, 1, 28, 28)
    assert dataset.test.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(dataset.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    scaled = dataset.train.images / 255
    assert abs(scaled.mean() - dataset.mean[0]) < 1e-4
    assert abs(scaled.std() - dataset.standard_deviation[0]) < 1e-4
    assert (dataset.classes, dataset.channels, dataset.size) == (10, 1, 28)


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_directory_of_ones_own_is_read_plain_and_compressed(
    name: str, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    files = _files()
    dataset = load_dataset(name, _write(tmp_path, files, suffix, pack))
    assert dataset.train.labels.tolist() == list(range(6))
    assert dataset.test.labels.tolist() == list(range(4))
    assert dataset.train.images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert dataset.test.images.shape == (4, 1, 28, 28)
    assert dataset.name == name


def test_without_sums_of_its_own_the_official_ones_count(tmp_path: Path) -> None:
    files = _files()
    _write(tmp_path, files)
    (tmp_path / "SHA256SUMS").unlink()
    path, digest = tmp_path / "train-images-idx3-ubyte", hashlib.sha256(files["train-images-idx3-ubyte"]).hexdigest()
    official = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    assert _message(tmp_path) == f"{path}: found SHA-256 {digest}, allowed {official}"
    with pytest.raises(DataError) as caught:
        load_dataset("fashion-mnist", tmp_path)
    fashion = "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    assert str(caught.value) == f"{path}: found SHA-256 {digest}, allowed {fashion}"


def test_a_missing_directory_or_file_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert _message(nowhere) == f"{nowhere}: found no such directory, allowed one that holds the four IDX files"
    _write(tmp_path, _files())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert _message(tmp_path) == (
        f"{tmp_path}: found no t10k-labels-idx1-ubyte, allowed that file, plain, as .gz or as .xz"
    )


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    files = _files()
    _write(tmp_path, files)
    path = tmp_path / "t10k-images-idx3-ubyte"
    content = bytearray(files[path.name])
    content[100] ^= 1
    path.write_bytes(content)
    found, allowed = hashlib.sha256(content).hexdigest(), hashlib.sha256(files[path.name]).hexdigest()
    assert _message(tmp_path) == f"{path}: found SHA-256 {found}, allowed {allowed}"


@pytest.mark.parametrize(
    ("suffix", "pack", "reason"),
    [
        (".gz", gzip.compress, "Compressed file ended before the end-of-stream marker was reached"),
        (".xz", lzma.compress, "Compressed file ended before the end-of-stream marker was reached"),
    ],
)
def test_a_truncated_file_is_found(suffix: str, pack: Callable[[bytes], bytes], reason: str, tmp_path: Path) -> None:
    _write(tmp_path, _files(), suffix, pack)
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(path.read_bytes()[:-20])
    assert _message(tmp_path) == f"{path}: found a file that cannot be read or decompressed ({reason})"


def test_a_file_that_is_not_compressed_as_it_says_is_found(tmp_path: Path) -> None:
    _write(tmp_path, _files(), ".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    message = _message(tmp_path)
    assert message == f"{path}: found a file that cannot be read or decompressed (Not a gzipped file (b'\\x00\\x00'))"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train-images-idx3-ubyte",
            b"",
            "train-images-idx3-ubyte: found an empty file, allowed an IDX file of bytes, 3 axes",
        ),
        (
            "train-labels-idx1-ubyte",
            _idx(np.zeros((2, 2), np.uint8)),
            "train-labels-idx1-ubyte: found 00000802, allowed an IDX file of bytes, 1 axes",
        ),
        (
            "train-images-idx3-ubyte",
            _idx(np.zeros((6, 28, 28), np.uint8))[:-1],
            "train-images-idx3-ubyte: found 4719 bytes, allowed 4720 for a shape of (6, 28, 28)",
        ),
        (
            "train-images-idx3-ubyte",
            bytes((0, 0, 8, 3)) + b"\0\1\0\0" * 3,
            "train-images-idx3-ubyte: found 16 bytes, allowed 281474976710672 for a shape of (65536, 65536, 65536)",
        ),
        (
            "train-labels-idx1-ubyte",
            _idx(np.arange(5, dtype=np.uint8)),
            "train-labels-idx1-ubyte: found 5 labels, allowed 6, one for each image",
        ),
        (
            "train-labels-idx1-ubyte",
            _idx(np.arange(5, 11, dtype=np.uint8)),
            "mnist (train): found a label 5 to 10, allowed 0 to 9",
        ),
    ],
)
def test_contents_that_do_not_fit_get_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    assert _message(_write(tmp_path, _files() | {name: content})) == message


def test_a_list_of_sums_that_is_wrong_gets_one_line(tmp_path: Path) -> None:
    _write(tmp_path, _files())
    sums = tmp_path / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines()
    sums.write_text("\n".join(lines[1:]), "utf-8")
    assert _message(tmp_path) == (f"{sums}: found no line for train-images-idx3-ubyte, allowed one for every data file")
    sums.write_text("three words here", "utf-8")
    assert _message(tmp_path) == f"{sums}: found a line of another form, allowed '<sha256>  <file name>'"
    sums.write_bytes(b"\xff\xfe")
    assert _message(tmp_path) == f"{sums}: found no UTF-8 text, allowed lines of '<sha256>  <file name>'"


def test_fashion_mnist_is_looked_for_where_debian_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path("/usr/share/datasets/fashion-mnist") == fashion_mnist._DEBIAN
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", _write(tmp_path, _files(), ".gz", gzip.compress))
    assert len(DATASETS["fashion-mnist"](None).train) == 6


def test_without_any_file_or_torchvision_fashion_mnist_gets_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(DataError) as caught:
        load_dataset("fashion-mnist")
    message = str(caught.value)
    assert message.startswith("fashion-mnist: found none here, and the download failed (")
    assert message.endswith("), allowed --data-dir with the four IDX files, or Debian's package dataset-fashion-mnist")
    assert "\n" not in message


def test_torchvisions_download_is_the_last_resort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Path], str]
) -> None:
    datasets = pytest.importorskip("torchvision.datasets", exc_type=ImportError)
    source = _write(tmp_path / "mirror", _files(), ".gz", gzip.compress)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"{serve(source)}/"])
    resources = [
        (path.name, hashlib.md5(path.read_bytes()).hexdigest())  # noqa: S324 - torchvision's own check
        for path in sorted(source.glob("*.gz"))
    ]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr(
        fashion_mnist, "_SUMS", {name: hashlib.sha256(content).hexdigest() for name, content in _files().items()}
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(load_dataset("fashion-mnist").test) == 4
    source.rename(tmp_path / "gone")
    assert len(load_dataset("fashion-mnist").test) == 4


def test_an_installation_without_its_sums_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "_EMBEDDED", tmp_path)
    with pytest.raises(DataError) as caught:
        load_dataset("mnist")
    assert str(caught.value) == f"{tmp_path}: found no SHA256SUMS, the installation is incomplete"
