"""Public data sets from one folder of files: MNIST, CIFAR-10, UNSW-NB15 and a sample of jets.

Files are what their authors publish, or the .npz form described beside each loader. Nothing is
unpickled, and every size is compared with what a file may hold before memory is taken for it.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bitwright.models.data import Dataset, digits, stratified_rows
from bitwright.models.errors import InputError

FOLDER_VARIABLE = "BITWRIGHT_DATA"
"""The environment variable that names the folder, where no argument does."""

_MAX_ROWS = 1_000_000
_MAX_BYTES = 8 << 30
_UNSW_BITS = 593
_JETS = ("g", "q", "t", "w", "z")
_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Shape = tuple[int | None, ...]


def load_dataset(name: str, folder: str | Path | None = None) -> Dataset:
    """A data set by its name: one of `DATASETS`.

    folder: where its files are, or a folder above them as their archives unpack; by default the
    environment variable BITWRIGHT_DATA. "digits" needs none.

    Raises InputError for an unknown name, a missing folder or file (with where to get it), and
    files that are damaged or hold something else.
    """
    if name == "digits":
        return digits()
    if name not in _LOADERS:
        raise InputError(f"there is no data set {name!r}: choose from {', '.join(DATASETS)}")
    given = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if not given:
        raise InputError(
            f"data set {name} is read from files, and no folder is named: give --data FOLDER or "
            f"set {FOLDER_VARIABLE}; {_WHERE[name]}"
        )
    root = Path(given)
    if not root.is_dir():
        raise InputError(f"data folder {root} does not exist: {_WHERE[name]}")
    return _LOADERS[name](root)


def mnist(folder: Path) -> Dataset:
    """MNIST, (1, 28, 28): pixels as multiples of 1/256, so that 8 bits hold them exactly.

    The four idx files, gzipped or not, or mnist.npz with x_train, y_train, x_test, y_test as uint8.
    """
    parts: dict[str, Bytes] = {}
    if (packed := folder / "mnist.npz").is_file():
        shapes = {"x": (None, 28, 28), "y": (None,)}
        wanted = {f"{k}_{part}": shapes[k] for k in "xy" for part in ("train", "test")}
        parts = _npz(packed, wanted)
    else:
        files = {
            "x_train": "train-images-idx3-ubyte",
            "y_train": "train-labels-idx1-ubyte",
            "x_test": "t10k-images-idx3-ubyte",
            "y_test": "t10k-labels-idx1-ubyte",
        }
        places = [folder, folder / "mnist", folder / "MNIST" / "raw"]
        found = {
            key: _first([p / f"{n}{end}" for p in places for n in _spellings(name)
                         for end in ("", ".gz")])
            for key, name in files.items()
        }  # fmt: skip
        _complete("mnist", folder, {files[key]: path for key, path in found.items()})
        for key, path in found.items():
            assert path is not None
            parts[key] = _idx(path, (28, 28) if key[0] == "x" else ())
    return _images(parts, tuple("0123456789"), "MNIST", 0.0, (1, 28, 28))


def cifar10(folder: Path) -> Dataset:
    """CIFAR-10, (3, 32, 32): pixels as multiples of 1/256 from -1/2, signed integers of 8 bits.

    The binary version (data_batch_1.bin … test_batch.bin), or cifar10_train1.npz … cifar10_test.npz
    with `d`, planes coded as differences down, right and to green (uint8, (10000, 3, 32, 32)), and
    `y`. The Python version of the files is pickled, which could run any code: it is refused.
    """
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    places = [folder, folder / "cifar-10-batches-bin", folder / "cifar10"]
    binary = {name: _first([place / name for place in places]) for name in names}
    coded = [*(f"cifar10_train{i}.npz" for i in range(1, 6)), "cifar10_test.npz"]
    if not any(binary.values()) and any((folder / name).is_file() for name in coded):
        found = {name: _first([folder / name]) for name in coded}
        _complete("cifar10", folder, found)
        read: Callable[[Path], tuple[Bytes, Bytes]] = _cifar_coded
    else:
        pickled = _first([p / "data_batch_1" for p in (*places, folder / "cifar-10-batches-py")])
        if pickled is not None and not all(binary.values()):
            raise InputError(
                f"{pickled} is of CIFAR-10's Python version, a pickle, which could run any code "
                f"and is not opened: {_WHERE['cifar10']}"
            )
        found, read = binary, _cifar_binary
        _complete("cifar10", folder, found)
    batches = [read(path) for path in found.values() if path is not None]
    parts = {
        "x_train": np.concatenate([x for x, _ in batches[:-1]]),
        "y_train": np.concatenate([y for _, y in batches[:-1]]),
        "x_test": batches[-1][0],
        "y_test": batches[-1][1],
    }
    return _images(parts, _CIFAR, "CIFAR-10", 0.5, (3, 32, 32))


def unsw_nb15(folder: Path) -> Dataset:
    """UNSW-NB15 as 593 bits, 0.0 or 1.0, the encoding of FINN and LogicNets; normal or attack.

    unsw_nb15_593.npz with the bits packed (uint8, 75 a row) and y_train, y_test; or the published
    unsw_nb15_binarized.npz with `train` and `test` of 593 bits and the class in each row.
    """
    packed, published = folder / "unsw_nb15_593.npz", folder / "unsw_nb15_binarized.npz"
    parts: dict[str, Array] = {}
    if packed.is_file():
        wanted: dict[str, Shape] = {"x_train": (None, 75), "x_test": (None, 75)}
        parts = dict(_npz(packed, wanted | {"y_train": (None,), "y_test": (None,)}))
        for key in wanted:
            parts[key] = np.unpackbits(parts[key], axis=1)[:, :_UNSW_BITS]
    elif published.is_file():
        columns = (None, _UNSW_BITS + 1)
        both = _npz(published, {"train": columns, "test": columns}, kinds="buif")
        for part, rows in both.items():
            parts[f"x_{part}"], parts[f"y_{part}"] = rows[:, :-1], rows[:, -1]
    else:
        _complete("unsw_nb15", folder, {packed.name: None})
    return _dataset(parts, ("normal", "attack"), "UNSW-NB15, 593 bits")


def jsc_sample(folder: Path) -> Dataset:
    """1,000 standardised rows of the 16 jet features; a fifth of them is the test set.

    For trying things out: a sample of this size says nothing about accuracy.
    """
    path = folder / "jsc_sample1000.npz"
    _complete("jsc_sample", folder, {path.name: path if path.is_file() else None})
    read = _npz(path, {"x": (None, 16), "y": (None,)}, kinds="uf")
    x, y = read["x"], read["y"].astype(np.int64)
    test = stratified_rows(y, 0.2, seed=0)
    train = np.setdiff1d(np.arange(len(y)), test)
    parts = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    return _dataset(parts, _JETS, f"{len(y)}-row sample of jets")


def own_file(path: str | Path) -> Dataset:
    """A user's own data: an .npz with x_train, y_train, x_test, y_test; classes are 0, 1, …

    Raises InputError for a file that is missing, damaged or too large, or holds something else.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > _MAX_BYTES:
                raise InputError(
                    f"{path} unpacks to {size:,} bytes, above the {_MAX_BYTES:,} that are read: "
                    "keep fewer rows"
                )
        with np.load(path, allow_pickle=False) as file:
            parts = {n: file[n] for n in ("x_train", "y_train", "x_test", "y_test")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"data file {path} cannot be used ({error}): save it with numpy.savez(path, "
            "x_train=…, y_train=…, x_test=…, y_test=…)"
        ) from None
    for name, part in parts.items():
        if part.dtype.kind not in ("fiu" if name[0] == "x" else "iu"):
            raise InputError(
                f"{name} in {path} is of {part.dtype}: give numbers, classes whole ones"
            )
    classes = int(max(parts["y_train"].max(initial=0), parts["y_test"].max(initial=0))) + 1
    return _dataset(parts, [str(i) for i in range(min(classes, _MAX_ROWS))], path.name)


_LOADERS: Mapping[str, Callable[[Path], Dataset]] = {
    "mnist": mnist,
    "cifar10": cifar10,
    "unsw_nb15": unsw_nb15,
    "jsc_sample": jsc_sample,
}
DATASETS = ("digits", *_LOADERS)
_WHERE = {
    "mnist": "put the four files of MNIST there, such as train-images-idx3-ubyte.gz (from "
    "yann.lecun.com/exdb/mnist or one of its mirrors), or mnist.npz",
    "cifar10": "put the unpacked 'CIFAR-10 binary version' there, cifar-10-binary.tar.gz of "
    "www.cs.toronto.edu/~kriz/cifar.html, whose files end in .bin",
    "unsw_nb15": "put unsw_nb15_binarized.npz of Zenodo record 4519767 there",
    "jsc_sample": "put jsc_sample1000.npz there, with x (1000, 16) and y",
}


def _images(
    parts: Mapping[str, Bytes], labels: Sequence[str], source: str, centre: float, shape: Shape
) -> Dataset:
    made: dict[str, Array] = dict(parts)
    for key in ("x_train", "x_test"):
        x = parts[key].reshape(-1, *(int(size or 0) for size in shape)).astype(np.float32)
        x /= 256  # in place: a copy of the training images would take as much memory again
        x -= centre
        made[key] = x
    return _dataset(made, labels, source)


def _dataset(parts: Mapping[str, Array], labels: Sequence[str], source: str) -> Dataset:
    return Dataset(
        parts["x_train"].astype(np.float32, copy=False),
        parts["y_train"].astype(np.int64),
        parts["x_test"].astype(np.float32, copy=False),
        parts["y_test"].astype(np.int64),
        tuple(labels),
        source,
    )


def _first(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _spellings(name: str) -> tuple[str, str]:
    """Some archives write train-images.idx3-ubyte."""
    return name, name.replace("-idx", ".idx")


def _complete(name: str, folder: Path, found: Mapping[str, Path | None]) -> None:
    if missing := [file for file, path in found.items() if path is None]:
        raise InputError(f"data folder {folder} lacks {', '.join(missing)}: {_WHERE[name]}")


def _idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """An idx file of bytes: magic number, sizes (big-endian), data; gzipped if its name says so."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = np.frombuffer(file.read(4 * (2 + len(shape))), dtype=">u4")
            magic = 0x0801 + len(shape)
            if len(head) != 2 + len(shape) or head[0] != magic or tuple(head[2:]) != shape:
                raise InputError(
                    f"{path} does not begin like an idx file of {shape or 'single'} bytes: "
                    "fetch it again"
                )
            rows = int(head[1])
            size = rows * int(np.prod(shape, dtype=np.int64))
            if not 1 <= rows <= _MAX_ROWS or len(data := file.read(size + 1)) != size:
                raise InputError(f"{path} does not hold the {rows} rows it announces")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}): fetch it again") from None
    return np.frombuffer(data, np.uint8).reshape(rows, *shape)


def _cifar_binary(path: Path) -> tuple[Bytes, Bytes]:
    """Records of a class and 3 x 32 x 32 planes, a byte each."""
    record = 1 + 3 * 32 * 32
    size = path.stat().st_size
    if size == 0 or size % record or size > 10_000 * record:
        raise InputError(
            f"{path} has {size} bytes, not up to 10,000 records of {record}: fetch it again"
        )
    data = np.fromfile(path, np.uint8).reshape(-1, record)
    return data[:, 1:].reshape(-1, 3, 32, 32), data[:, 0]


def _cifar_coded(path: Path) -> tuple[Bytes, Bytes]:
    """Running sums, modulo 256, down and across; red and blue are kept as differences to green."""
    read = _npz(path, {"d": (None, 3, 32, 32), "y": (None,)})
    planes: Bytes = np.cumsum(np.cumsum(read["d"], 2, dtype=np.uint8), 3, dtype=np.uint8)
    planes[:, 0] += planes[:, 1]
    planes[:, 2] += planes[:, 1]
    return planes, read["y"]


def _npz(path: Path, wanted: Mapping[str, Shape], kinds: str = "u") -> dict[str, Array]:
    """Some arrays of an .npz, if each has its shape (None: any size) and kind of number."""
    made: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, shape in wanted.items():
                with archive.open(f"{name}.npy") as file:
                    made[name] = _npy(file, shape, kinds)
    except KeyError:
        raise InputError(f"{path} has no array {name!r}: it needs {', '.join(wanted)}") from None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be used ({error}): fetch it again") from None
    return made


def _npy(file: IO[bytes], shape: Shape, kinds: str) -> Array:
    """One array; its header is looked at before anything is allocated."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of .npy is unknown")
    found, fortran, dtype = read(file)
    fits = len(found) == len(shape) and all(
        w in (None, f) for w, f in zip(shape, found, strict=True)
    )
    if not fits or dtype.kind not in kinds or fortran or not 1 <= found[0] <= _MAX_ROWS:
        raise ValueError(f"an array of {dtype} and shape {found}, where {shape} is expected")
    size = int(np.prod(found, dtype=np.int64)) * dtype.itemsize
    data = file.read(size)
    if len(data) != size:
        raise ValueError("an array ends too early")
    return np.frombuffer(data, dtype).reshape(found)
