"""A graph on disk: a folder with `graph.json` (structure) and `weights.npz` (arrays), no pickle.

The JSON names every array with its shape, so a reader knows each size before it allocates. The
digest covers structure and arrays; it identifies a graph in reports, caches and hardware.
"""

import ctypes
import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import assert_never

from bitwright.models.errors import BitwrightError, GraphError, StorageError
from bitwright.models.graph.codecs import Codebook, Codec, IntArray, Plain, Tiled
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool,
    Node,
    Op,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Window,
)
from bitwright.models.graph.types import IntType, Port, Value

FORMAT = 2
MAX_JSON_BYTES = 64 << 20
MAX_ELEMENTS = 1 << 28  # of one array: 2 GiB of int64
_MAX_AXES = 4

Json = dict[str, Any]

# What reading a damaged file can raise; anything else is our own bug and keeps its traceback.
_DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # too deep; or a zip file's encryption or kind of compression
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def save(graph: Graph, folder: str | os.PathLike[str]) -> str:
    """Write the graph as a folder, replacing a graph that is there; returns its digest.

    Everything is written beside the target and renamed into place: an error or a kill leaves what
    was there. Raises StorageError if the folder holds something else or cannot be written.
    """
    target = Path(folder)
    arrays: dict[str, IntArray] = {}
    tree = _to_json(graph, arrays)
    tree["digest"] = _digest(tree, arrays)
    with replaced_folder(target, "graph.json") as fresh:
        np.savez_compressed(fresh / "weights.npz", **arrays)  # type: ignore[arg-type]
        (fresh / "graph.json").write_text(json.dumps(tree, indent=1) + "\n")
    return str(tree["digest"])


def load(folder: str | os.PathLike[str]) -> Graph:
    """Read a graph and check all of it.

    Raises:
        StorageError: the folder is missing, truncated, changed since it was written, of another
            format, or larger than the limits above.
    """
    path = Path(folder)
    try:
        if (path / "graph.json").stat().st_size > MAX_JSON_BYTES:
            raise StorageError(f"{path}/graph.json is larger than {MAX_JSON_BYTES >> 20} MiB")
        tree = json.loads((path / "graph.json").read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or tree.get("format") != FORMAT:
            raise StorageError(
                f"{path}/graph.json is not a graph of format {FORMAT}: make it again with "
                "'bitwright lower'"
            )
        arrays = _load_arrays(path / "weights.npz", tree["arrays"])
        if _digest(tree, arrays) != tree["digest"]:
            raise StorageError(
                f"{path} was changed or damaged after it was written (its digest differs): make it "
                "again with 'bitwright lower'"
            )
        return _from_json(tree, arrays)
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageError(
            f"{error.filename} does not exist: give a folder made by 'bitwright lower'"
        ) from None
    except (*_DAMAGE, BitwrightError) as error:
        raise StorageError(
            f"{path} does not hold a whole graph ({type(error).__name__}: {error}): make it again "
            "with 'bitwright lower'"
        ) from None


def digest(graph: Graph) -> str:
    """SHA-256 over the structure and all integers of the graph, in hexadecimal."""
    arrays: dict[str, IntArray] = {}
    return _digest(_to_json(graph, arrays), arrays)


@contextmanager
def replaced_folder(target: Path, marker: str) -> Iterator[Path]:
    """A fresh folder that takes the target's place when the block ends without an error.

    Whatever happens inside, the target is either its old self or the whole new folder. marker: a
    file that every folder of this kind holds, by which an older one is known. Raises StorageError
    where the target holds something else, the disk is full or the place cannot be written.
    """
    fresh: Path | None = None
    target = Path(os.path.realpath(target))  # behind a link, the folder and not the link
    try:
        if target.exists() and not (target / marker).is_file() and any(target.iterdir()):
            raise StorageError(
                f"{target} exists and holds no {marker}, so it is not replaced: choose another "
                "folder"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        fresh.chmod(0o755)
        yield fresh
        if not target.exists():
            fresh.rename(target)
        elif not _exchanged(fresh, target):  # then there is a moment without a target
            old = fresh.with_name(fresh.name + "-old")
            target.rename(old)
            fresh.rename(target)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {target} ({error.strerror or error}): choose a folder that can be "
            "written, on a disk with room"
        ) from None
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, if the system can (Linux, most file systems)."""
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(swap(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _to_json(graph: Graph, arrays: dict[str, IntArray]) -> Json:
    nodes = [_node_to_json(node, arrays) for node in graph.nodes]
    return {
        "format": FORMAT,
        "name": graph.name,
        "inputs": [_value_to_json(value) for value in graph.inputs],
        "nodes": nodes,
        "outputs": list(graph.outputs),
        "ports": {
            name: {"scale": port.scale, "offset": port.offset, "binary": port.binary}
            for name, port in graph.ports.items()
        },
        "labels": list(graph.labels),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
    }


def _value_to_json(value: Value) -> Json:
    return {"name": value.name, "shape": list(value.shape), "type": str(value.type)}


def _node_to_json(node: Node, arrays: dict[str, IntArray]) -> Json:
    def put(field: str, array: IntArray) -> str:
        arrays[f"{node.name}.{field}"] = array
        return f"{node.name}.{field}"

    op = node.op
    fields: Json
    match op:
        case Dense():
            fields = {"weights": _codec_to_json(op.weights, put), "bias": put("bias", op.bias)}
        case Conv2d():
            fields = {"weights": _codec_to_json(op.weights, put), "bias": put("bias", op.bias)}
            fields |= {"window": _window_to_json(op.window), "groups": op.groups}
        case Threshold():
            fields = {name: put(name, getattr(op, name)) for name in ("thresholds", "base", "step")}
        case Requantize():
            fields = {name: put(name, getattr(op, name)) for name in ("multiplier", "bias")}
            fields |= {"shift": op.shift, "rounding": op.rounding, "narrow": op.narrow}
        case Lookup():
            fields = {"table": put("table", op.table), "lowest": op.lowest}
        case BitPlanes():
            fields = {"planes": list(op.planes)}
        case MaxPool() | SumPool():
            fields = {"window": _window_to_json(op.window)}
        case Add():
            fields = {"multipliers": list(op.multipliers)}
        case Concat() | Reshape() | ArgMax():
            fields = {}
        case _:
            assert_never(op)
    return {"op": node.kind, **fields, "inputs": list(node.inputs),
            "output": _value_to_json(node.output)}  # fmt: skip


def _window_to_json(window: Window) -> Json:
    return {name: list(getattr(window, name)) for name in ("kernel", "stride", "padding")}


def _codec_to_json(codec: Codec, put: Callable[[str, IntArray], str]) -> Json:
    match codec:
        case Plain():
            return {"codec": "plain", "width": codec.width, "values": put("weights", codec.values)}
        case Tiled():
            return {"codec": "tiled", "tile": put("tile", codec.tile), "shape": list(codec.shape)}
        case Codebook():
            return {
                "codec": "codebook",
                "indices": put("indices", codec.indices),
                "table": put("table", codec.table),
            }
        case _:
            assert_never(codec)


def _from_json(tree: Json, arrays: dict[str, IntArray]) -> Graph:
    return Graph(
        name=_text(tree["name"]),
        inputs=tuple(_value_from_json(v) for v in tree["inputs"]),
        nodes=tuple(
            Node(
                _op_from_json(n, arrays),
                tuple(_text(i) for i in n["inputs"]),
                _value_from_json(n["output"]),
            )
            for n in tree["nodes"]
        ),
        outputs=tuple(_text(name) for name in tree["outputs"]),
        ports={
            _text(name): Port(float(port["scale"]), float(port["offset"]), port["binary"] is True)
            for name, port in tree["ports"].items()
        },
        labels=tuple(_text(label) for label in tree["labels"]),
    )


def _op_from_json(fields: Json, arrays: dict[str, IntArray]) -> Op:
    match fields["op"]:
        case "dense":
            return Dense(_codec_from_json(fields["weights"], arrays), arrays[fields["bias"]])
        case "conv2d":
            return Conv2d(
                _codec_from_json(fields["weights"], arrays),
                arrays[fields["bias"]],
                _window_from_json(fields["window"]),
                int(fields["groups"]),
            )
        case "threshold":
            return Threshold(*(arrays[fields[name]] for name in ("thresholds", "base", "step")))
        case "requantize":
            return Requantize(
                arrays[fields["multiplier"]],
                arrays[fields["bias"]],
                int(fields["shift"]),
                fields["rounding"],
                bool(fields["narrow"]),
            )
        case "lookup":
            return Lookup(arrays[fields["table"]], int(fields["lowest"]))
        case "bitplanes":
            return BitPlanes(_integers(fields["planes"]))
        case "maxpool":
            return MaxPool(_window_from_json(fields["window"]))
        case "sumpool":
            return SumPool(_window_from_json(fields["window"]))
        case "add":
            return Add(_integers(fields["multipliers"]))
        case "concat":
            return Concat()
        case "reshape":
            return Reshape()
        case "argmax":
            return ArgMax()
        case other:
            raise GraphError(f"unknown operation {other!r}")


def _integers(values: list[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _window_from_json(fields: Json) -> Window:
    kernel, stride, padding = (_integers(fields[k]) for k in ("kernel", "stride", "padding"))
    (rows, columns), (down, right), (top, left, below, after) = kernel, stride, padding
    return Window((rows, columns), (down, right), (top, left, below, after))


def _codec_from_json(fields: Json, arrays: dict[str, IntArray]) -> Codec:
    match fields["codec"]:
        case "plain":
            return Plain(arrays[fields["values"]], int(fields["width"]))
        case "tiled":
            inputs, outputs = (int(n) for n in fields["shape"])
            if inputs * outputs > MAX_ELEMENTS:
                raise GraphError(f"tiled weights of shape {inputs} x {outputs} are above the limit")
            return Tiled(arrays[fields["tile"]], (inputs, outputs))
        case "codebook":
            return Codebook(arrays[fields["indices"]], arrays[fields["table"]])
        case other:
            raise GraphError(f"unknown weight codec {other!r}")


def _value_from_json(fields: Json) -> Value:
    kind = _text(fields["type"])
    if kind[:1] not in ("s", "u"):
        raise GraphError(f"unknown integer type {kind!r}")
    shape = tuple(int(n) for n in fields["shape"])
    if math.prod(shape) > MAX_ELEMENTS:
        raise GraphError(f"a tensor of shape {shape} is above the limit of {MAX_ELEMENTS} elements")
    return Value(_text(fields["name"]), shape, IntType(int(kind[1:]), kind[0] == "s"))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise GraphError(f"{value!r} is not a string")
    return value


def _load_arrays(path: Path, shapes: dict[str, list[int]]) -> dict[str, IntArray]:
    """The named arrays, each read only after its header agreed with the size declared for it."""
    arrays: dict[str, IntArray] = {}
    with zipfile.ZipFile(path) as archive:
        if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in shapes):
            raise StorageError(f"{path} does not hold the arrays that graph.json names")
        for name, declared in shapes.items():
            shape = tuple(int(n) for n in declared)
            count = math.prod(shape)
            if len(shape) > _MAX_AXES or not all(n > 0 for n in shape) or count > MAX_ELEMENTS:
                raise StorageError(f"array {name} of {path} has shape {shape}, above the limit")
            with archive.open(f"{name}.npy") as file:
                version = np.lib.format.read_magic(file)
                if version != (1, 0):
                    raise StorageError(f"array {name} of {path} is of an unknown numpy format")
                header = np.lib.format.read_array_header_1_0(file)
                if header != (shape, False, np.dtype(np.int64)):
                    raise StorageError(f"array {name} of {path} is {header}, not int64{shape}")
                content = file.read(8 * count + 1)
            if len(content) != 8 * count:
                raise StorageError(f"array {name} of {path} is cut short or too long")
            arrays[name] = np.frombuffer(content, np.int64).reshape(shape)
    return arrays


def _digest(tree: Json, arrays: dict[str, IntArray]) -> str:
    sha = hashlib.sha256()
    structure = {key: value for key, value in tree.items() if key != "digest"}
    sha.update(json.dumps(structure, sort_keys=True).encode())
    for name in sorted(arrays):
        sha.update(np.ascontiguousarray(arrays[name], dtype="<i8").tobytes())
    return sha.hexdigest()
