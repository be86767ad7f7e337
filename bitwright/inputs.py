"""What users hand in on the command line: rows of data, shapes; and random vectors for checks."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import Graph, IntArray

MAX_DATA_BYTES = 8 << 30

_RANDOM_ELEMENTS = 10_000_000  # of the largest tensor, over all random vectors
_RANDOM_CYCLES = 50_000_000  # of a simulation, over all random vectors


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Real inputs, shape (rows, *input shape), and their classes, shape (rows,), where known."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64] | None = None


def load_rows(path: Path) -> Rows:
    """Rows from an .npz file with `x` and perhaps `y`, or from an .npy file with x alone.

    Raises:
        StorageError: the file is missing or damaged, or is of another kind.
        InputError: the file unpacks to more than MAX_DATA_BYTES, x is not finite in float32, or y
            is not one whole number a row.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            x, y = loaded, None
        else:
            with loaded:
                size = sum(member.file_size for member in loaded.zip.infolist())
                if size > MAX_DATA_BYTES:
                    raise InputError(
                        f"{path} unpacks to {size:,} bytes, above the {MAX_DATA_BYTES:,} that are "
                        "read: keep fewer rows"
                    )
                if "x" not in loaded.files:
                    raise InputError(
                        f"{path} holds {', '.join(loaded.files) or 'nothing'}: name the inputs x "
                        "and the classes y"
                    )
                x, y = loaded["x"], loaded["y"] if "y" in loaded.files else None
    except FileNotFoundError:
        raise StorageError(f"data file {path} does not exist") from None
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        MemoryError,
        RuntimeError,  # a zip file's encryption or kind of compression
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise StorageError(
            f"data file {path} cannot be read ({error}): save it with numpy.savez(path, x=…, y=…)"
        ) from None
    with np.errstate(over="ignore"):
        made = x.astype(np.float32) if x.dtype.kind in "fiu" and x.ndim and len(x) else None
    if made is None or not np.isfinite(made).all():
        raise InputError(f"x in {path} must be rows of finite numbers, not {x.dtype}{x.shape}")
    if y is not None and (y.dtype.kind not in "iu" or y.shape != (len(x),)):
        raise InputError(
            f"y in {path} must be {len(x)} whole numbers, one a row of x, not {y.dtype}{y.shape}"
        )
    return Rows(made, None if y is None else y.astype(np.int64))


def arranged(graph: Graph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows as the model takes them, channels first or flat, as the graph does, channels last.

    Rows that have the graph's own shape are taken as they are. Raises InputError for others.
    """
    value = graph.input
    given, last = x.shape[1:], value.shape
    first = (last[-1], *last[:-1])
    flat = (value.size,)
    if len(last) == 1 and x[0].size == value.size:
        return x.reshape(-1, value.size)
    sequence = (first[0], *first[2:]) if first[1:2] == (1,) else first
    if given in (first, sequence, flat):
        return np.ascontiguousarray(np.moveaxis(x.reshape(-1, *first), 1, -1))
    if given == last:
        return x
    raise InputError(
        f"rows of x have shape {given}, and input {value.name} takes {first}"
        f"{', channels first' if len(last) > 1 else ''}: give rows as the model takes them"
    )


def parse_shape(text: str) -> tuple[int, ...]:
    """'64' or '1,8,8' as a shape. Raises InputError for anything else."""
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise InputError(
            f"input shape {text!r}: give the sizes of one example without the batch, such as 64 "
            "or 1,8,8"
        )
    return shape


def affordable(budget: int, each: int, most: int) -> int:
    """How many vectors of `each` cycles (or other work) a budget pays for: 16 to `most`."""
    return max(min(16, most), min(most, budget // max(each, 1)))


def corner_vectors(graph: Graph) -> IntArray:
    """Inputs at the corners of the input type, shape (count, *input shape): all the least, all the
    largest, all nearest to zero, the two extremes in turn, every value in turn, and one extreme at
    either end.
    """
    kind, size = graph.input.type, graph.input.size
    zero = np.full(size, min(max(0, kind.min), kind.max))
    turns = np.where(np.arange(size) % 2, kind.min, kind.max)
    ramp = kind.min + np.arange(size) % (kind.max - kind.min + 1)
    first, last = zero.copy(), zero.copy()
    first[0], last[-1] = kind.max, kind.min
    rows = [np.full(size, kind.min), np.full(size, kind.max), zero, turns,
            kind.min + kind.max - turns, ramp, first, last]  # fmt: skip
    return np.array(rows).reshape(-1, *graph.input.shape)


def random_vectors(
    graph: Graph, count: int | None = None, seed: int = 0, interval: int = 1
) -> IntArray:
    """Uniformly random inputs over the whole input type, shape (count, *input shape).

    count: 10,000 without, or fewer of large tensors, which take an engine longer, or where a
    simulated design takes many cycles for each: its `interval`. Raises InputError for a count
    below 1.
    """
    if count is None:
        largest = max(value.size for value in graph.values.values())
        count = affordable(_RANDOM_ELEMENTS, largest, 10_000)
        count = affordable(_RANDOM_CYCLES, interval, count)
    if count < 1:
        raise InputError(f"{count} random vectors: give at least 1")
    kind = graph.input.type
    rng = np.random.default_rng(seed)
    return rng.integers(kind.min, kind.max, (count, *graph.input.shape), endpoint=True)
