"""Public data sets from tiny files of their forms, and every way in which such files are wrong."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.models.data_files import DATASETS, load_dataset
from bitwright.models.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 28, 28), np.uint8)
COLOURS = RNG.integers(0, 256, (3, 3, 32, 32), np.uint8)


def idx(array: np.ndarray[Any, Any]) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def mnist_files(folder: Path, *, packed: bool = False, dotted: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    classes = np.array([3, 0, 9, 1], np.uint8)
    for part, rows in (("train", 4), ("t10k", 2)):
        for kind, array in (("images-idx3", IMAGES[:rows]), ("labels-idx1", classes[:rows])):
            name = f"{part}-{kind}-ubyte"
            name = name.replace("-idx", ".idx") if dotted else name
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))


def cifar_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    classes = np.array([[9], [0], [5]], np.uint8)
    records = np.concatenate([classes, COLOURS.reshape(3, -1)], axis=1)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(records.tobytes())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_mnist_as_published(tmp_path: Path, packed: bool, dotted: bool, below: str) -> None:
    mnist_files(tmp_path / below, packed=packed, dotted=dotted)
    data = load_dataset("mnist", tmp_path)
    assert data.x_train.shape == (4, 1, 28, 28) and data.x_test.shape == (2, 1, 28, 28)
    assert data.x_train.dtype == np.float32 and data.y_test.tolist() == [3, 0]
    assert np.array_equal(data.x_train[:, 0] * 256, IMAGES)  # 8 bits hold them exactly


def test_the_folder_is_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist_files(tmp_path)
    monkeypatch.setenv("BITWRIGHT_DATA", str(tmp_path))
    assert len(load_dataset("mnist").x_train) == 4
    with pytest.raises(InputError, match="lacks train-images"):  # an argument goes first
        (tmp_path / "empty").mkdir()
        load_dataset("mnist", tmp_path / "empty")
    monkeypatch.delenv("BITWRIGHT_DATA")
    with pytest.raises(InputError, match=r"no folder is named: give --data .* BITWRIGHT_DATA"):
        load_dataset("mnist")
    assert len(load_dataset("digits").x_train) > 1000  # needs none


def test_mnist_as_arrays(tmp_path: Path) -> None:
    y = np.array([1, 2, 3, 4], np.uint8)
    arrays = {"x_train": IMAGES, "y_train": y, "x_test": IMAGES, "y_test": y}
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert np.array_equal(load_dataset("mnist", tmp_path).x_test[:, 0] * 256, IMAGES)


def test_cifar10_binary_and_coded_agree(tmp_path: Path) -> None:
    cifar_files(tmp_path / "cifar-10-batches-bin")
    published = load_dataset("cifar10", tmp_path)
    assert published.x_train.shape == (15, 3, 32, 32)
    assert np.array_equal(published.x_test * 256 + 128, COLOURS)
    assert published.y_test.tolist() == [9, 0, 5]
    # Differences modulo 256: to green, then across, then down.
    d = COLOURS.copy()
    d[:, 0] -= d[:, 1]
    d[:, 2] -= d[:, 1]
    d = np.diff(d, axis=3, prepend=np.uint8(0)).astype(np.uint8)
    d = np.diff(d, axis=2, prepend=np.uint8(0)).astype(np.uint8)
    other = tmp_path / "other"
    other.mkdir()
    for name in (*(f"train{i}" for i in range(1, 6)), "test"):
        np.savez(other / f"cifar10_{name}.npz", d=d, y=np.array([9, 0, 5], np.uint8))
    coded = load_dataset("cifar10", other)
    assert np.array_equal(coded.x_train, published.x_train)
    assert np.array_equal(coded.y_test, published.y_test)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (tmp_path / "opened",))  # type: ignore[return-value]

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"Python version, a pickle, .* 'CIFAR-10 binary version'"):
        load_dataset("cifar10", tmp_path)
    np.savez(tmp_path / "mnist.npz", x_train=np.array([Bomb()], object))
    with pytest.raises(InputError, match="an array of object"):
        load_dataset("mnist", tmp_path)
    assert not (tmp_path / "opened").exists()


def test_unsw_packed_and_published_agree(tmp_path: Path) -> None:
    bits = RNG.integers(0, 2, (5, 593), np.uint8)
    y = np.array([0, 1, 1, 0, 1], np.uint8)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    packed = np.packbits(bits, axis=1)
    np.savez(one / "unsw_nb15_593.npz", x_train=packed, x_test=packed[:2], y_train=y, y_test=y[:2])
    rows = np.concatenate([bits, y[:, None]], axis=1).astype(np.float32)
    np.savez(two / "unsw_nb15_binarized.npz", train=rows, test=rows[:2])
    first, second = (load_dataset("unsw_nb15", folder) for folder in (one, two))
    assert np.array_equal(first.x_train, bits) and np.array_equal(second.x_train, bits)
    assert first.y_train.tolist() == second.y_train.tolist() == y.tolist()


def test_the_sample_of_jets_is_split(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(50, 16)).astype(np.float32), (np.arange(50) % 5).astype(np.uint8)
    np.savez(tmp_path / "jsc_sample1000.npz", x=x, y=y)
    data = load_dataset("jsc_sample", tmp_path)
    assert (len(data.x_train), len(data.x_test)) == (40, 10)
    assert sorted(data.y_test.tolist()) == sorted([0, 1, 2, 3, 4] * 2)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_what_is_missing_is_named_with_its_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"data folder {tmp_path} lacks \S+.*: put .*there"):
        load_dataset(name, tmp_path)
    with pytest.raises(InputError, match=r"data folder \S*gone does not exist: put"):
        load_dataset(name, tmp_path / "gone")


def test_an_unknown_data_set() -> None:
    with pytest.raises(InputError, match="no data set 'cifar100': choose from digits, mnist"):
        load_dataset("cifar100")


def change(path: Path, **arrays: object) -> None:
    good: dict[str, object] = {
        "x_train": IMAGES, "x_test": IMAGES,
        "y_train": np.zeros(4, np.uint8), "y_test": np.zeros(4, np.uint8),
    }  # fmt: skip
    np.savez(path / "mnist.npz", **{**good, **arrays})  # type: ignore[arg-type]


def without_labels(path: Path) -> None:
    np.savez(path / "mnist.npz", x_train=IMAGES)


def huge(path: Path) -> None:
    """Announces 2^40 rows, which must not be allocated."""
    mnist_files(path)
    file = path / "train-images-idx3-ubyte"
    file.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 1 << 31, 28, 28) + bytes(784))


def longer(path: Path) -> None:
    mnist_files(path)
    with (path / "train-images-idx3-ubyte").open("ab") as file:
        file.write(b"x")


def half(path: Path) -> None:
    mnist_files(path, packed=True)
    file = path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:300])


def other_magic(path: Path) -> None:
    mnist_files(path)
    (path / "train-labels-idx1-ubyte").write_bytes(idx(IMAGES))


def no_gzip(path: Path) -> None:
    mnist_files(path, packed=True)
    (path / "train-labels-idx1-ubyte.gz").write_bytes(b"<html>not found</html>")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: change(p, x_train=IMAGES.astype(np.float64)), "array of float64"),
        (lambda p: change(p, x_train=IMAGES[:, :27]), r"shape \(4, 27, 28\), where .* is expected"),
        (lambda p: change(p, y_train=np.zeros(3, np.uint8)), "give one class a row"),
        (lambda p: change(p, y_train=np.full(4, 10, np.uint8)), "do not fit 10 labels"),
        (lambda p: change(p, x_test=IMAGES[:0]), "cannot be used"),
        (without_labels, "has no array"),
        (lambda p: (p / "mnist.npz").write_bytes(b"PK nothing"), "cannot be used"),
        (huge, "does not hold the 2147483648 rows"),
        (longer, "does not hold the 4 rows"),
        (half, "cannot be read"),
        (other_magic, "does not begin like an idx file"),
        (no_gzip, "cannot be read"),
    ],
)  # fmt: skip
def test_damaged_mnist(spoil: Any, message: str, tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        load_dataset("mnist", tmp_path)


def test_an_array_that_announces_more_than_it_holds(tmp_path: Path) -> None:
    """A header is believed only up to a limit, and then compared with what follows."""
    import zipfile

    for rows, message in ((1 << 40, "where .* is expected"), (900_000, "ends too early")):
        head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 28, 28)}}".encode()
        head += b" " * (-(len(head) + 11) % 64) + b"\n"
        member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(784)
        with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive:
            archive.writestr("x_train.npy", member)
        with pytest.raises(InputError, match=message):
            load_dataset("mnist", tmp_path)


@pytest.mark.parametrize("size", [0, 3072, 3073 * 10_001])
def test_damaged_cifar10(size: int, tmp_path: Path) -> None:
    cifar_files(tmp_path)
    with (tmp_path / "data_batch_3.bin").open("wb") as file:
        file.truncate(size)
    with pytest.raises(InputError, match=rf"data_batch_3.bin has {size} bytes"):
        load_dataset("cifar10", tmp_path)
