"""What strangers' files look like: valid ones, damaged in their bytes or in their structure.

`damaged(kind, number, folder)` writes the numbered one into a folder, alike for equal arguments;
`read(kind, folder)` gives it to the loader. Graphs that were changed get a digest that fits again,
so that the damage reaches what is behind the check.
"""

import contextlib
import copy
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitwright.models.errors import BitwrightError
from bitwright.models.graph import Graph, cycles, load, load_plan, plan_to_json, save, save_plan
from bitwright.models.graph.storage import _digest, _to_json
from bitwright.rtl_tb import emit
from trust.networks import network

Kind = Literal["graph", "plan", "recipe", "onnx"]
KINDS: tuple[Kind, ...] = ("graph", "plan", "recipe", "onnx")

_SEEDS = 24  # valid files of each kind
_LARGEST_EMITTED = 300  # elements of the tensors together

_NUMBERS = (0, 1, -1, 2, 3, 7, 8, 63, 64, 65, 255, 256, 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 32,
            (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30, 0.5, -0.0, 1e308, float("inf"),
            float("nan"), True, False)  # fmt: skip
_WORDS = ("", "x", "y", "../../x", "/etc/passwd", "a/b", "clk_i", "module", "X" * 300, "a\x00b",
          "\n", "é", "x__y", "s64", "u64", "s0", "u-1", "plain", "tiled", "codebook", "dense",
          "conv2d", "half_even", "floor", "bw_fifo", "$(id)", "%s%n", "xc7", "-1", "1e9",
          )  # fmt: skip


def damaged(kind: Kind, number: int, folder: Path) -> None:
    """Write a damaged file, or a graph's folder, as `read` expects it."""
    dice = random.Random(f"{kind} {number}")
    match kind:
        case "graph":
            _damaged_graph(dice, folder)
        case "plan":
            save(_graph(0), folder / "graph") if not (folder / "graph").is_dir() else None
            text = json.dumps(plan_to_json(network(1, dice.randrange(_SEEDS)).plan)).encode()
            (folder / "plan.json").write_bytes(_damaged_json(dice, text))
        case "recipe":
            (folder / "recipe.toml").write_bytes(_damaged_bytes(dice, dice.choice(_recipes())))
        case "onnx":
            (folder / "net.onnx").write_bytes(_damaged_onnx(dice))


def read(kind: Kind, folder: Path) -> None:
    """Give the file to its loader, and what was taken to who writes files named after it.

    Raises what the loader does.
    """
    match kind:
        case "graph":
            graph = load(folder)
            save(graph, folder.with_name("saved"))
            if sum(value.size for value in graph.values.values()) <= _LARGEST_EMITTED:
                _emitted(graph, folder.with_name("rtl"))
        case "plan":
            plan = load_plan(folder / "plan.json")
            save_plan(plan, folder / "saved.json")
            for number in range(_SEEDS):
                if {node.name for node in _graph(number).nodes} == set(plan.engines):
                    cycles(_graph(number), plan)
        case "recipe":
            from bitwright.models.recipes import read_recipe

            read_recipe(folder / "recipe.toml")
        case "onnx":
            from bitwright.models.lower.onnx import lower_onnx

            save(lower_onnx(folder / "net.onnx").graph, folder / "saved")


def _emitted(graph: Graph, folder: Path) -> None:
    from bitwright.cost_model import make_plan

    if len(graph.inputs) == 1 and len(graph.outputs) == 1:
        emit(graph, make_plan(graph, "xc7", 200.0), folder)


@cache
def _graph(number: int) -> Graph:
    return network(1, number).graph


def _damaged_graph(dice: random.Random, folder: Path) -> None:
    arrays: dict[str, Any] = {}
    tree = copy.deepcopy(_to_json(_graph(dice.randrange(_SEEDS)), arrays))
    way = dice.random()
    if way < 0.6:
        for _ in range(dice.choice([1, 1, 1, 2, 5])):
            _change(dice, tree)
    if 0.4 < way < 0.8:
        name = dice.choice(sorted(arrays)) if arrays else ""
        if name:
            arrays[name] = _damaged_array(dice, arrays[name])
            if dice.random() < 0.5 and isinstance(tree.get("arrays"), dict):
                tree["arrays"][name] = list(arrays[name].shape)
    if isinstance(tree, dict):
        try:
            tree["digest"] = _digest(tree, arrays)
        except (TypeError, ValueError):
            tree["digest"] = "0" * 64
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / "weights.npz", **arrays)
    text = json.dumps(tree).encode()
    if way >= 0.8:
        file = dice.choice(["graph.json", "weights.npz"])
        if file == "graph.json":
            text = _damaged_bytes(dice, text)
        else:
            content = (folder / file).read_bytes()
            (folder / file).write_bytes(_damaged_bytes(dice, content))
    if dice.random() < 0.02:
        # Behind damage, what Python's zipfile has read may be nothing that it can write.
        with (
            contextlib.suppress(struct.error),
            zipfile.ZipFile(folder / "weights.npz", "a") as archive,
        ):
            archive.writestr("../../outside.npy", b"x" * 100)
    (folder / "graph.json").write_bytes(text)


def _damaged_array(dice: random.Random, array: Any) -> Any:
    way = dice.randrange(7)
    if way == 0:
        return array.astype(dice.choice(["int32", "float64", "uint8", "complex128", ">i8", "bool"]))
    if way == 1:
        return array.reshape(-1)
    if way == 2:
        return array[:-1]
    if way == 3:
        return np.array([str(array)], dtype=object).astype(str)
    changed = array.copy()
    for _ in range(dice.choice([1, 1, 3])):
        if changed.size:
            at = dice.randrange(changed.size)
            number = dice.choice([0, 1, -1, 2, 1 << 20, -(1 << 40), (1 << 63) - 1, -(1 << 63)])
            changed.reshape(-1)[at] = number
    return changed


def _damaged_json(dice: random.Random, text: bytes) -> bytes:
    if dice.random() < 0.3:
        return _damaged_bytes(dice, text)
    tree = json.loads(text)
    for _ in range(dice.choice([1, 1, 2, 4])):
        _change(dice, tree)
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _change(dice: random.Random, tree: Any) -> None:
    """Change one thing in a JSON tree."""
    places = list(_places(tree))
    if not places:
        return
    holder, key = dice.choice(places)
    value = holder[key]
    way = dice.randrange(8)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(dice.randrange(len(holder) + 1), copy.deepcopy(value))
    elif way == 1:
        holder[dice.choice(_WORDS)] = copy.deepcopy(value)
    elif way == 2:
        other, at = dice.choice(places)
        with_value = copy.deepcopy(other[at]) if at in other or isinstance(other, list) else None
        holder[key] = with_value
    elif way == 3:
        holder[key] = dice.choice([None, [], {}, [[]], {"a": {}}, "", [value], {"x": value}])
    elif way == 4:
        deep: Any = value
        for _ in range(dice.choice([3, 30, 300])):
            deep = [deep]
        holder[key] = deep if dice.random() < 0.05 else [value] * dice.choice([2, 100])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = dice.choice([*_NUMBERS, value + 1, value - 1, value * 2, -value])
    elif isinstance(value, str):
        holder[key] = dice.choice([*_WORDS, value + value, value[:-1], value.upper()])
    else:
        holder[key] = dice.choice([*_NUMBERS, *_WORDS])


def _damaged_bytes(dice: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 5, 20])):
        at = dice.randrange(len(made) + 1)
        way = dice.randrange(8)
        if way == 0:
            del made[at : at + dice.choice([1, 1, 4, 50])]
        elif way == 1:
            made[at:at] = bytes(dice.randrange(256) for _ in range(dice.choice([1, 2, 8])))
        elif way == 2:
            made[at:at] = made[at : at + dice.choice([1, 10, 200])]
        elif way == 3:
            made[at:at] = dice.choice(_WORDS).encode()
        elif way == 4:
            made[at:at] = str(dice.choice(_NUMBERS)).encode()
        elif way == 5 and dice.random() < 0.2:
            del made[at:]
        elif way == 6 and dice.random() < 0.02:
            made[at:at] = dice.choice([b"[", b'{"a":', b"9", b"a."]) * 200_000
        elif at < len(made):
            made[at] = made[at] ^ 1 << dice.randrange(8)
    return bytes(made)


@cache
def _recipes() -> tuple[bytes, ...]:
    examples = Path(__file__).parent.parent / "examples" / "recipes"
    return tuple(file.read_bytes() for file in sorted(examples.glob("*.toml")))


def _damaged_onnx(dice: random.Random) -> bytes:
    import onnx

    content = dice.choice(_onnx_files())
    if dice.random() < 0.3:
        return _damaged_bytes(dice, content)
    proto = onnx.ModelProto.FromString(content)
    for _ in range(dice.choice([1, 1, 2, 4])):
        with contextlib.suppress(ValueError):  # a number that is none of an enumeration's
            _change_message(dice, proto.graph if dice.random() < 0.9 else proto)
    try:
        return bytes(proto.SerializeToString())
    except ValueError:  # protobuf's own limit
        return content


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _messages(part)


def _change_message(dice: random.Random, root: Any) -> None:
    """Change one field of one message of a protobuf."""
    message = dice.choice(list(_messages(root)))
    if not message.ListFields():
        return
    field, value = dice.choice(message.ListFields())
    way = dice.random()
    if way < 0.12:
        message.ClearField(field.name)
    elif field.is_repeated and way < 0.5:
        at = dice.randrange(len(value))
        if way < 0.25:
            del value[at]
        elif field.message_type is not None:
            value.add().CopyFrom(value[at])
        else:
            value.append(value[at])
    elif field.is_repeated:
        if field.message_type is None:
            at = dice.randrange(len(value))
            value[at] = _other(dice, value[at])
    elif field.message_type is None:
        setattr(message, field.name, _other(dice, value))


def _other(dice: random.Random, value: Any) -> Any:
    """Another value of the same type, in the range of every field of that type."""
    if isinstance(value, str):
        return dice.choice([w for w in _WORDS if "\x00" not in w] + [value * 2, value[:-1]])
    if isinstance(value, bytes):
        return _damaged_bytes(dice, value)
    if isinstance(value, float):
        return dice.choice([0.0, -1.0, 1e30, 1e-30, float("inf"), float("nan"), value * 3, -value])
    return dice.choice(
        [0, 1, 2, 3, 7, 10, 11, 16, 100, (1 << 31) - 1, value + 1, max(value - 1, 0)]
    )


@cache
def _onnx_files() -> tuple[bytes, ...]:
    return tuple(make().SerializeToString() for make in (_mlp, _cnn))


def _mlp() -> Any:
    """QONNX: a quantised input, two dense layers, and a join."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    floats = {"w1": rng.normal(size=(4, 3)), "w2": rng.normal(size=(3, 3)), "scale": 0.25,
              "zero": 0.0, "bits": 4.0}  # fmt: skip
    given = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in floats.items()]

    def quant(name: str, source: str, signed: int = 1) -> Any:
        return helper.make_node(
            "Quant", [source, "scale", "zero", "bits"], [name], name=name,
            domain="qonnx.custom_op.general", signed=signed, narrow=0, rounding_mode="ROUND",
        )  # fmt: skip

    make = helper.make_node
    nodes = [quant("q", "x"), quant("wq1", "w1"), make("MatMul", ["q", "wq1"], ["m"], name="fc1"),
             make("Relu", ["m"], ["r"], name="relu"), quant("a", "r", 0), quant("wq2", "w2"),
             make("MatMul", ["a", "wq2"], ["n"], name="fc2"), quant("b", "n"),
             make("Add", ["b", "a"], ["s"], name="join"), quant("y", "s")]  # fmt: skip
    source = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))]
    output = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    return helper.make_model(helper.make_graph(nodes, "net", source, output, given))


def _cnn() -> Any:
    """QuantizeLinear and DequantizeLinear: a convolution, pools, a concatenation, a dense layer."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)

    def stored(name: str, values: Any, kind: type = np.float32) -> Any:
        return numpy_helper.from_array(np.array(values, kind), name)

    given = [stored("kernel", rng.integers(-7, 8, (2, 2, 3, 3)), np.int8), stored("scale", 0.125),
             stored("int_zero", 0, np.int8), stored("uint_zero", 0, np.uint8),
             stored("matrix", rng.integers(-7, 8, (16, 3)), np.int8), stored("g", [1.0, 0.5]),
             stored("b", [0.1, -0.1]), stored("m", [0.0, 0.2]), stored("v", [1.0, 2.0]),
             stored("shape", [1, -1], np.int64)]  # fmt: skip
    make = helper.make_node

    def fake(name: str, source: str, zero: str) -> list[Any]:
        return [
            make("QuantizeLinear", [source, "scale", zero], [f"{name}_i"], name=f"{name}_q"),
            make("DequantizeLinear", [f"{name}_i", "scale", zero], [name], name=f"{name}_d"),
        ]

    nodes = [*fake("q", "x", "int_zero"),
             make("DequantizeLinear", ["kernel", "scale", "int_zero"], ["w"], name="kernel_d"),
             make("Conv", ["q", "w"], ["c"], name="conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                  strides=[1, 1]),
             make("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], name="bn"),
             make("Relu", ["n"], ["r"], name="relu"), *fake("a", "r", "uint_zero"),
             make("MaxPool", ["a"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
             make("AveragePool", ["a"], ["p2"], name="mean", kernel_shape=[2, 2], strides=[2, 2]),
             *fake("p3", "p2", "uint_zero"), make("Concat", ["p", "p3"], ["k"], name="cat", axis=1),
             make("Reshape", ["k", "shape"], ["f"], name="flat"),
             make("DequantizeLinear", ["matrix", "scale", "int_zero"], ["w2"], name="matrix_d"),
             make("Gemm", ["f", "w2"], ["y"], name="fc")]  # fmt: skip
    source = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 4, 4))]
    output = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    return helper.make_model(helper.make_graph(nodes, "net", source, output, given))


Loader = Callable[[Kind, Path], None]
"""What reads a file: `read`, or in a negative control something that is wrong."""
OUR_ERRORS = BitwrightError
