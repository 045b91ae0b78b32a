"""A user's own folder of images: how it is read and split, and everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.datasets import canonical_data, load_dataset
from compress.errors import CompressError, DataError, UsageError


def _image(path: Path, value: int, size: tuple[int, int] = (20, 12), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def _folder(root: Path, images: int = 10) -> Path:
    for place, kind in enumerate(("cats", "dogs", "eels")):
        for number in range(images):
            _image(root / kind / f"{number:02}.png", 80 * place + number)
    return root


def _message(text: str, directory: Path | None = None) -> str:
    with pytest.raises(CompressError) as caught:
        load_dataset(text, directory)
    return str(caught.value)


def test_classes_are_the_sub_folders_and_every_one_is_split(tmp_path: Path) -> None:
    dataset = load_dataset(f"folder:{_folder(tmp_path)}")
    assert dataset.train.images.shape == (24, 1, 32, 32)
    assert dataset.test.images.shape == (6, 1, 32, 32)
    assert np.bincount(dataset.train.labels).tolist() == [8, 8, 8]
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    shades = np.concatenate([dataset.train.images, dataset.test.images])[:, 0, 0, 0]
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert sorted(zip(labels.tolist(), shades.tolist(), strict=True)) == [
        (place, 80 * place + number) for place in range(3) for number in range(10)
    ]
    assert (dataset.name, dataset.classes, dataset.channels, dataset.size) == ("folder", 3, 1, 32)


def test_the_split_is_the_same_every_time_and_another_for_another_seed(tmp_path: Path) -> None:
    first, again, other = (
        load_dataset(text, _folder(tmp_path)).test.images.tobytes() for text in ("folder", "folder", "folder(split=1)")
    )
    assert first == again != other


def test_a_class_more_leaves_the_split_of_the_others(tmp_path: Path) -> None:
    before = load_dataset("folder", _folder(tmp_path)).test
    for number in range(4):
        _image(tmp_path / "ants" / f"{number}.png", 250)
    after = load_dataset("folder", tmp_path).test
    assert after.images[after.labels > 0].tobytes() == before.images.tobytes()


@pytest.mark.parametrize(("fraction", "held_out"), [("0.01", 1), ("0.5", 5), ("0.99", 9)])
def test_at_least_one_image_of_a_class_is_on_each_side(fraction: str, held_out: int, tmp_path: Path) -> None:
    dataset = load_dataset(f"folder(test={fraction})", _folder(tmp_path))
    assert np.bincount(dataset.test.labels).tolist() == [held_out] * 3
    assert np.bincount(dataset.train.labels).tolist() == [10 - held_out] * 3


def test_mean_and_standard_deviation_are_the_training_images(tmp_path: Path) -> None:
    dataset = load_dataset("folder(colour=true,size=8)", _folder(tmp_path))
    pixels = dataset.train.images / 255
    assert dataset.train.images.shape[1:] == (3, 8, 8)
    assert np.allclose(dataset.mean, pixels.mean((0, 2, 3)))
    assert np.allclose(dataset.standard_deviation, pixels.std((0, 2, 3)))


def test_equal_images_have_a_standard_deviation_that_can_be_divided_by(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for number in range(2):
            _image(tmp_path / kind / f"{number}.png", 9)
    assert load_dataset("folder", tmp_path).standard_deviation == (1 / 255,)


def test_colours_modes_and_formats_are_converted(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        _image(tmp_path / kind / "1.png", 255, mode="RGB")
        _image(tmp_path / kind / "2.jpg", 255)
        _image(tmp_path / kind / "3.bmp", 255, size=(1, 1))
        Image.new("RGBA", (5, 5), (255, 0, 0, 128)).save(tmp_path / kind / "4.png")
        Image.new("P", (5, 5), 0).save(tmp_path / kind / "5.gif")
        (tmp_path / kind / ".hidden").write_text("left alone", "utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").write_text("left alone: no class", "utf-8")
    dataset = load_dataset("folder(test=0.2)", tmp_path)
    assert len(dataset.train) + len(dataset.test) == 10
    assert {76, 255} <= set(np.concatenate([dataset.train.images, dataset.test.images]).ravel().tolist())


def test_images_stand_as_their_camera_held_them(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for number in range(2):
            halves = Image.new("L", (32, 32), 0)
            halves.paste(255, (0, 0, 16, 32))
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned a quarter to the right
            (tmp_path / kind).mkdir(exist_ok=True)
            halves.save(tmp_path / kind / f"{number}.png", exif=exif)
    image = load_dataset("folder", tmp_path).test.images[0, 0]
    assert (image[:15].min(), image[17:].max()) == (255, 0)


def test_one_form_of_the_name() -> None:
    assert canonical_data("folder(test=0.20,size=64,colour=false):a/b:c") == "folder(size=64):a/b:c"


def test_what_is_wrong_gets_one_line(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert _message(f"folder:{nowhere}") == (
        f"{nowhere}: found no such directory, allowed one with a sub-folder of images for every class"
    )
    assert _message("folder", tmp_path) == (f"{tmp_path}: found 0 sub-folders, allowed at least 2, one for every class")
    _folder(tmp_path)
    empty = tmp_path / "cows"
    empty.mkdir()
    assert _message("folder", tmp_path) == f"{empty}: found no image, allowed at least 2, one of them for the test"
    _image(empty / "1.png", 3)
    assert _message("folder", tmp_path) == f"{empty}: found 1 image, allowed at least 2, one of them for the test"
    unreadable = empty / "2.png"
    unreadable.write_text("no image", "utf-8")
    assert _message("folder", tmp_path) == (
        f"{unreadable}: found a file that is no readable image (cannot identify image file '{unreadable}'), "
        "allowed images only"
    )
    unreadable.write_bytes((tmp_path / "cats" / "01.png").read_bytes()[:-30])
    message = _message("folder", tmp_path)
    assert message.startswith(f"{unreadable}: found a file that is no readable image (")
    assert message.endswith("), allowed images only")


def test_an_image_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert _message("folder", tmp_path) == (
        f"{tmp_path / 'cats' / '00.png'}: found a file that is no readable image (Image size (240 pixels) exceeds "
        "limit of 200 pixels, could be decompression bomb DOS attack.), allowed images only"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder", "data: found folder without a place, allowed folder:PATH, or --data-dir PATH"),
        ("folder:", "data: found 'folder:', allowed a path behind the colon"),
        ("folder(size=0):x", "data: folder: found size=0, test=0.2, allowed size 1 to 1024 and test above 0"),
        ("folder(test=0):x", "data: folder: found size=32, test=0, allowed size 1 to 1024 and test above 0"),
        ("folder(gray=true):x", "data: folder, option: found 'gray', allowed colour, size, split, test"),
        (
            "folders:x",
            "data: found 'folders', allowed mnist, fashion-mnist, cifar-10, cifar-100, folder, nearest: folder",
        ),
        ("mnist(size=3)", "data: found 'mnist(size=3)', allowed 'mnist', which has no options"),
    ],
)
def test_a_wrong_name_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_dataset(text)
    assert str(caught.value) == message


def test_two_places_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_dataset("mnist:here", tmp_path)
    assert str(caught.value) == f"data: found 'mnist:here' and the directory {tmp_path}, allowed one of them"


def test_a_class_without_an_image_is_found_before_any_image_is_read(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "cats" / "00.png").write_text("no image", "utf-8")
    (tmp_path / "zebras").mkdir()
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tmp_path)
    assert str(caught.value) == f"{tmp_path / 'zebras'}: found no image, allowed at least 2, one of them for the test"
