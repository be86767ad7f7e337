"""ONNX files from strangers: whatever is in them, the answer is a message."""

import itertools
import os
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bitwright.models.errors import BitwrightError, InputError, StorageError, UnsupportedError
from bitwright.models.graph import evaluate, quantise
from bitwright.models.lower.onnx import branches, constants, lower_onnx, tensors
from bitwright.models.lower.onnx.refusals import UNFORESEEN

FUZZED = int(os.environ.get("BITWRIGHT_FUZZ", "300"))

QONNX = "qonnx.custom_op.general"


def constant(name: str, values: object) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def quant(name: str, source: str, scale: str, bits: str, signed: int = 1) -> onnx.NodeProto:
    return helper.make_node(
        "Quant", [source, scale, "zero", bits], [name], name=name, domain=QONNX,
        signed=signed, narrow=0, rounding_mode="ROUND",
    )  # fmt: skip


def model(
    nodes: list[onnx.NodeProto] | None = None,
    shape: tuple[int | str, ...] = (1, 4),
    output: str = "y",
    extra: tuple[TensorProto, ...] = (),
) -> onnx.ModelProto:
    """x, quantised to q, times weights of 4 x 3, is y; or other nodes with the same constants."""
    weights = np.random.default_rng(0).normal(size=(4, 3))
    given = [
        constant("weights", weights), constant("scale", 0.25), constant("zero", 0.0),
        constant("bits", 4.0), *extra,
    ]  # fmt: skip
    if nodes is None:
        nodes = [quant("q", "x", "scale", "bits"), quant("w", "weights", "scale", "bits"),
                 helper.make_node("MatMul", ["q", "w"], ["y"], name="fc")]  # fmt: skip
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], given,
    )  # fmt: skip
    return helper.make_model(graph)


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def head() -> list[onnx.NodeProto]:
    return [quant("q", "x", "scale", "bits")]


def tail(source: str) -> list[onnx.NodeProto]:
    return [quant("w", "weights", "scale", "bits"),
            helper.make_node("MatMul", [source, "w"], ["y"], name="fc")]  # fmt: skip


def test_the_good_file_is_lowered(tmp_path: Path) -> None:
    lowered = lower_onnx(saved(model(), tmp_path))
    x = np.random.default_rng(1).normal(size=(50, 4))
    found = evaluate(lowered.graph, quantise(lowered.graph, x))
    weights = numpy_helper.to_array(model().graph.initializer[0]).astype(np.float64)
    steps = np.clip(np.rint(x.astype(np.float32) / 0.25), -8, 7)
    expected = steps @ np.clip(np.rint(weights / 0.25), -8, 7)
    assert np.array_equal(found, expected)


def cyclic() -> onnx.ModelProto:
    add = helper.make_node("Add", ["q", "loop"], ["a"], name="add")
    loop = helper.make_node("Relu", ["a"], ["loop"], name="loop")
    return model([*head(), add, loop, *tail("a")])


def duplicate_output() -> onnx.ModelProto:
    return model([*head(), helper.make_node("Relu", ["q"], ["q"], name="again"), *tail("q")])


def twice_stored() -> onnx.ModelProto:
    return model(extra=(constant("scale", 0.5),))


def undefined() -> onnx.ModelProto:
    return model([*head(), *tail("nothing")])


def no_output() -> onnx.ModelProto:
    made = model()
    del made.graph.output[:]
    return made


def lost_output() -> onnx.ModelProto:
    return model(output="elsewhere")


BROKEN = {
    "cycle": (cyclic, "reads.*cycles"),
    "duplicate output": (duplicate_output, "again.*'q'"),
    "duplicate initialiser": (twice_stored, "two initialisers.*scale"),
    "undefined edge": (undefined, "fc.*'nothing'"),
    "no output": (no_output, "no output"),
    "unknown output": (lost_output, "'elsewhere'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_graph_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    make, message = BROKEN[name]
    with pytest.raises(InputError, match=message):
        lower_onnx(saved(make(), tmp_path))


def with_tensor(name: str, **fields: object) -> onnx.ModelProto:
    """The good file with other fields in one of its tensors."""
    made = model()
    (tensor,) = [one for one in made.graph.initializer if one.name == name]
    for field, value in fields.items():
        if field == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)  # type: ignore[arg-type]
        else:
            setattr(tensor, field, value)
    return made


SIZES = {
    "huge": ({"dims": [1 << 40, 1 << 20]}, UnsupportedError, "weights"),
    "huge with an empty axis": ({"dims": [1 << 60, 0]}, UnsupportedError, "weights"),
    "negative": ({"dims": [-4, -3]}, UnsupportedError, "weights"),
    "more than stored": ({"dims": [400, 3]}, StorageError, "4800 bytes, but 48"),
    "less than stored": ({"dims": [2, 3]}, StorageError, "24 bytes, but 48"),
    "many axes": ({"dims": [1] * 50}, UnsupportedError, "50 axes"),
    "text": ({"data_type": TensorProto.STRING}, UnsupportedError, "STRING"),
    "no type": ({"data_type": 99}, UnsupportedError, "99"),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_checked_before_memory_is_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, error, message = SIZES[name]
    path = saved(with_tensor("weights", **fields), tmp_path)

    def decode(*_: object) -> None:
        raise AssertionError("decoded before every size was checked")

    monkeypatch.setattr(tensors.Store, "decode", decode)
    with pytest.raises(error, match=message):
        lower_onnx(path)


def test_all_tensors_together_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(model(), tmp_path)
    monkeypatch.setattr(tensors, "MAX_BYTES", 100)
    with pytest.raises(UnsupportedError, match="take more than"):
        lower_onnx(path)


def test_constants_cannot_grow_without_limit(tmp_path: Path) -> None:
    """A few bytes that ask for a terabyte: expanded, filled, gathered, multiplied."""
    big = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "big")
    column = numpy_helper.from_array(np.zeros((1 << 15, 1), np.float32), "column")
    row = numpy_helper.from_array(np.zeros((1, 1 << 15), np.float32), "row")
    for node in (
        helper.make_node("ConstantOfShape", ["big"], ["g"], name="grow"),
        helper.make_node("Expand", ["scale", "big"], ["g"], name="grow"),
        helper.make_node("Add", ["column", "row"], ["g"], name="grow"),
    ):
        made = model([*head(), node, helper.make_node("Mul", ["q", "g"], ["y"])],
                     extra=(big, column, row))  # fmt: skip
        with pytest.raises(UnsupportedError, match=r"'grow'.*elements"):
            lower_onnx(saved(made, tmp_path))


def test_doubling_again_and_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty nodes that double an activation, or a constant: 2^60 elements from one kilobyte."""
    monkeypatch.setattr(branches, "MAX_PLACES", 1 << 14)  # quicker than the real limits
    monkeypatch.setattr(constants, "MAX_FOLDED", 1 << 14)
    for first, axis in (("q", 1), ("weights", 0)):
        names = [first, *(f"d{i}" for i in range(60))]
        doubling = [helper.make_node("Concat", [a, a], [b], name=b, axis=axis)
                    for a, b in itertools.pairwise(names)]  # fmt: skip
        last = [helper.make_node("Add", ["q", names[-1]], ["y"])]
        nodes = [*head(), *doubling, *(last if first == "weights" else tail(names[-1]))]
        with pytest.raises(UnsupportedError, match=r"'d\d+'.*elements"):
            lower_onnx(saved(model(nodes), tmp_path))


def test_a_large_image_from_a_small_file_is_refused(tmp_path: Path) -> None:
    kernel = numpy_helper.from_array(np.ones((64, 1, 1, 1), np.float32), "kernel")
    conv = helper.make_node("Conv", ["q", "kernel"], ["y"], name="conv")
    with pytest.raises(UnsupportedError, match=r"'conv'.*elements"):
        lower_onnx(saved(model([*head(), conv], (1, 1, 512, 512), extra=(kernel,)), tmp_path))


def external(folder: Path, location: str, **more: str) -> Path:
    made = with_tensor("weights")
    tensor = made.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    (folder / "weights.bin").write_bytes(b"\0" * 16 + raw)
    return saved(made, folder)


def test_external_data_is_read_from_the_models_folder(tmp_path: Path) -> None:
    inside = external(tmp_path, "weights.bin", offset="16", length="48")
    x = np.random.default_rng(1).normal(size=(50, 4))
    lowered = lower_onnx(inside)
    found = evaluate(lowered.graph, quantise(lowered.graph, x))
    whole = lower_onnx(saved(model(), tmp_path))
    assert np.array_equal(found, evaluate(whole.graph, quantise(whole.graph, x)))


@pytest.mark.parametrize(
    ("location", "more"),
    [
        ("../secret.bin", {}),
        ("below/../../secret.bin", {}),
        ("/etc/hostname", {}),
        ("..\\secret.bin", {}),
        ("C:secret.bin", {}),
        ("", {}),
        (".", {}),
        ("below", {}),
        ("link.bin", {}),
        ("linked/secret.bin", {}),
        ("pipe", {}),
        ("missing.bin", {}),
        ("a\0b", {}),
        ("weights.bin", {"offset": "17"}),
        ("weights.bin", {"offset": "-1"}),
        ("weights.bin", {"offset": "16", "length": "1e9"}),
        ("weights.bin", {"length": "1000000000000"}),
    ],
)
def test_external_data_elsewhere_is_refused(
    location: str, more: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with pytest.raises(StorageError, match="weights"):
        lower_onnx(external(folder, location, **more))


def node(op: str, inputs: list[str], **attributes: object) -> list[onnx.NodeProto]:
    made = helper.make_node(op, inputs, ["n"], name="the/node", **attributes)
    return [*head(), made, *tail("n")]


K = numpy_helper.from_array(np.array([0, 2], np.int64), "shape")
TWO = numpy_helper.from_array(np.zeros((2, 2), np.float32), "two")
NAN = constant("nan", [np.nan])
REFUSED = {
    "softmax": (node("Softmax", ["q"]), (), "largest output"),
    "unknown": (node("Nonsense", ["q"]), (), "what is"),
    "foreign": (node("Quant", ["q"], domain="com.evil"), (), "com.evil"),
    "matmul of two": (node("MatMul", ["q", "q"]), (), "constant"),
    "product of two": (node("Mul", ["q", "q"]), (), "2 tensors"),
    "wrong rank": (node("Conv", ["q", "two"]), (TWO,), "kernel"),
    "misfit": (node("MatMul", ["q", "two"]), (TWO,), "4 features"),
    "bad reshape": (node("Reshape", ["q", "shape"]), (K,), "check the shape"),
    "nan": (node("Mul", ["q", "nan"]), (NAN,), "NaN"),
    "division": (node("Div", ["q", "zero"]), (), "0"),
    "larger": (node("Add", ["q", "two"]), (TWO,), "shape"),
    "batch": (node("Transpose", ["q"], perm=[1, 0]), (), "batch"),
    "attribute": (node("Transpose", ["q"], perm=3.5), (), "perm"),
    "no weights": (node("MatMul", ["q"]), (), "constant inputs"),
    "transposed": (node("ConvTranspose", ["q", "two"]), (TWO,), "transposed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_mapped_is_named_with_a_remedy(name: str, tmp_path: Path) -> None:
    nodes, extra, message = REFUSED[name]
    with pytest.raises(UnsupportedError, match=message) as caught:
        lower_onnx(saved(model(nodes, extra=extra), tmp_path))
    assert "node 'the/node' (" in str(caught.value) and nodes[1].op_type in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1,), "batch"), ((1, 0), "fixed"), ((1, "n"), "n"), ((1, 1 << 20, 1 << 20), "elements")],
)
def test_an_input_without_a_size_is_refused(
    shape: tuple[int | str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        lower_onnx(saved(model(shape=shape), tmp_path))


def test_files_that_are_no_models(tmp_path: Path) -> None:
    for content in (b"", b"\x00", b"not a model at all", b"PK\x03\x04" * 9, b"\xff" * 100):
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(StorageError, match=r"net\.onnx"):
            lower_onnx(tmp_path / "net.onnx")
    for path in (tmp_path / "missing.onnx", tmp_path, "nul\0.onnx"):
        with pytest.raises(StorageError):
            lower_onnx(path)


def test_names_become_legal_and_stay_apart(tmp_path: Path) -> None:
    """Reserved words, dots, other alphabets, two names that differ in case, very long ones."""
    names = ["module", "a.b/c", "A.B/C", "é", "x" * 300, "x" * 301, "1", "", "__init__", "a b"]
    nodes, last = head(), ""
    for i, name in enumerate(names):  # side by side: quantisers in a row become one
        one = quant(f"t{i}", "q", "coarse", "bits")
        one.name = name
        nodes.append(one)
        if i:
            nodes.append(helper.make_node("Add", [last, f"t{i}"], [f"s{i}"], name=f"plus{i}"))
        last = f"s{i}" if i else "t0"
    made = model([*nodes, *tail(last)], extra=(constant("coarse", 0.5),))
    graph = lower_onnx(saved(made, tmp_path), name="endmodule; $finish").graph
    quantised = [node.name for node in graph.nodes if node.inputs == ("q",)]
    assert len(set(quantised)) == len(names)
    assert graph.name == "endmodule_finish"


def fuzzed(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case _:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
    return bytes(data) or b"\0"


def test_mutated_files_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = random.Random(0)
    content = image_model().SerializeToString()
    lowered, refused = 0, set()
    for _ in range(FUZZED):
        (tmp_path / "net.onnx").write_bytes(fuzzed(content, rng))
        try:
            lower_onnx(tmp_path / "net.onnx")
            lowered += 1
        except BitwrightError as error:
            assert UNFORESEEN not in str(error)
            refused.add(str(error).partition("(")[2])
    assert lowered > FUZZED // 20 and len(refused) > FUZZED // 20, "the mutations say too little"


def image_model() -> onnx.ModelProto:
    """Most operations in one small file."""
    rng = np.random.default_rng(0)
    kernel = constant("kernel", rng.normal(size=(4, 2, 3, 3)))
    matrix = constant("matrix", rng.normal(size=(3, 16)))
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "pads")
    per_channel = [constant(n, rng.uniform(0.5, 1.5, 4)) for n in ("g", "b", "m", "v")]
    third = constant("third", np.full((1, 4, 1, 1), 1 / 3))
    int_zero = numpy_helper.from_array(np.array(0, np.int8), "int_zero")
    bounds = [numpy_helper.from_array(np.array(v, np.int8), n) for v, n in ((-7, "lo"), (7, "hi"))]
    make = helper.make_node
    nodes = [
        make("Mul", ["x", "scale"], ["x2"], name="normalise"),
        quant("q", "x2", "scale", "bits"),
        make("Pad", ["q", "pads"], ["p"], name="pad"),
        quant("w", "kernel", "scale", "bits"),
        make("Conv", ["p", "w"], ["c"], name="conv", kernel_shape=[3, 3], strides=[1, 1]),
        make("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], name="bn"),
        make("Relu", ["n"], ["r"], name="relu"),
        quant("a", "r", "scale", "bits", signed=0),
        make("MaxPool", ["a"], ["m1"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        make("AveragePool", ["a"], ["m2"], name="mean", kernel_shape=[2, 2], strides=[2, 2]),
        make("Add", ["m1", "m2"], ["s"], name="add"),
        make("Mul", ["s", "third"], ["t"], name="scale_it"),
        make("QuantizeLinear", ["t", "scale", "int_zero"], ["i"], name="quantise"),
        make("Clip", ["i", "lo", "hi"], ["j"], name="clip"),
        make("DequantizeLinear", ["j", "scale", "int_zero"], ["d"], name="dequantise"),
        make("Concat", ["d", "d"], ["cc"], name="cat", axis=1),
        make("GlobalAveragePool", ["cc"], ["gp"], name="global"),
        make("Reshape", ["gp", "shape"], ["f"], name="flat"),
        make("Flatten", ["d"], ["f2"], name="flat2"),
        make("Sigmoid", ["f2"], ["sg"], name="sigmoid"),
        quant("aq", "sg", "scale", "bits"),
        quant("w2", "matrix", "scale", "bits"),
        make("Transpose", ["w2"], ["w2t"], name="turn", perm=[1, 0]),
        make("MatMul", ["aq", "w2t"], ["l"], name="fc"),
        make("Gemm", ["f", "w3"], ["l2"], name="fc2", transB=1),
        make("Add", ["l", "l2"], ["e"], name="sum"),
        make("ArgMax", ["e"], ["y"], name="decide", axis=1),
    ]
    w3 = constant("w3", rng.integers(-3, 4, (3, 8)))
    made = model(
        nodes, (1, 2, 4, 4),
        extra=(kernel, matrix, shape, pads, *per_channel, third, int_zero, *bounds, w3),
    )  # fmt: skip
    return made


def test_the_fuzzed_file_itself_is_lowered(tmp_path: Path) -> None:
    graph = lower_onnx(saved(image_model(), tmp_path), labels=("a", "b", "c")).graph
    kinds = [node.kind for node in graph.nodes]
    assert {"conv2d", "maxpool", "sumpool", "add", "concat", "lookup"} <= set(kinds)
    assert kinds[-1] == "argmax"
