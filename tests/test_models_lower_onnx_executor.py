"""What an ONNX file means is what qonnx's own executor computes, operation by operation.

Scales are powers of two, so that its float32 is exact and every integer must be equal.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from bitwright.models.graph import evaluate, quantise
from bitwright.models.lower import Lowered
from bitwright.models.lower.onnx import lower_onnx

if sys.version_info < (3, 11):
    pytest.skip("qonnx wants an onnx there that bitwright does not", allow_module_level=True)

Q = "qonnx.custom_op.general"
IMAGE, VECTOR, LAST = "float[1,4,6,7] x", "float[1,8] x", "float[1,6,7,4] x"

# Every case: the input, and what becomes of q, the input in 6 bits, until y.
CASES: dict[str, tuple[str, str]] = {
    "conv": (IMAGE, "y = Conv<kernel_shape=[3,3], pads=[1,0,1,2], strides=[2,1]>(q, k)"),
    "same upper": (IMAGE, 'y = Conv<kernel_shape=[3,3], '
                   'auto_pad="SAME_UPPER", strides=[2,2]>(q, k)'),
    "same lower": (IMAGE, 'y = Conv<kernel_shape=[3,3], '
                   'auto_pad="SAME_LOWER", strides=[2,2]>(q, k)'),
    "depthwise": (IMAGE, "y = Conv<kernel_shape=[3,3], group=4>(q, kd)"),
    "groups": (IMAGE, "y = Conv<kernel_shape=[3,3], group=2>(q, kg)"),
    "pad": (IMAGE, "p = Pad(q, pads)\n y = Conv<kernel_shape=[3,3]>(p, k)"),
    "pad the input": (IMAGE, "p = Pad(x, pads)\n r = Quant<$>(p, s, z, six)\n"
                      "y = Conv<kernel_shape=[3,3]>(r, k)"),
    "pad and pool": (IMAGE, "r = Relu(q)\n p = Pad(r, pads)\n"
                     "y = MaxPool<kernel_shape=[3,3], strides=[2,2]>(p)"),
    "max pool": (IMAGE, "y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(q)"),
    "ceil mode": (IMAGE, "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(q)"),
    "falling max pool": (IMAGE, "n = Mul(q, minus)\n y = MaxPool<kernel_shape=[2,2]>(n)"),
    "average pool": (IMAGE, "y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(q)"),
    "counted padding": (IMAGE, "y = AveragePool<kernel_shape=[2,2], pads=[1,1,1,1],"
                        "count_include_pad=1>(q)"),
    "mean": (IMAGE, "m = ReduceMean<axes=[2,3], keepdims=0>(q)\n"
             "h = Quant<$>(m, s, z, six)\n y = MatMul(h, m43)"),
    "channels last": (LAST, "t = Transpose<perm=[0,3,1,2]>(q)\n"
                      "c = Conv<kernel_shape=[3,3]>(t, k)\n y = Transpose<perm=[0,2,3,1]>(c)"),
    "mean of channels last": (LAST, "t = Transpose<perm=[0,3,1,2]>(q)\n"
                              "c = Conv<kernel_shape=[3,3]>(t, k)\n"
                              "u = Transpose<perm=[0,2,3,1]>(c)\n"
                              "y = ReduceMean<axes=[1,2], keepdims=1>(u)"),
    "flatten": (IMAGE, "c = Conv<kernel_shape=[5,6]>(q, kb)\n h = Quant<$>(c, s, z, six)\n"
                "f = Flatten(h)\n y = MatMul(f, m123)"),
    "a scale for each of the flattened": (IMAGE, "c = Conv<kernel_shape=[5,6]>(q, kb)\n"
                                          "f = Flatten(c)\n g = Mul(f, twelve)\n"
                                          "h = Quant<$>(g, s, z, six)\n y = MatMul(h, m123)"),
    "residual": (IMAGE, "c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(q, ks)\n"
                 "d = Quant<$>(c, s2, z, six)\n a = Add(q, d)\n r = Relu(a)\n"
                 "h = Quant<$>(r, s2, z, four)\n y = Conv<kernel_shape=[3,3]>(h, k)"),
    "difference": (IMAGE, "d = Quant<$>(x, s, z, six)\n c = Relu(q)\n y = Sub(q, c)"),
    "join": (IMAGE, "r = Relu(q)\n n = Neg(q)\n y = Concat<axis=1>(q, r, n)"),
    "join flat": (VECTOR, "r = Relu(q)\n c = Concat<axis=-1>(r, q)\n y = MatMul(c, m163)"),
    "shift and scale": (VECTOR, "a = Sub(one, q)\n b = Div(a, s)\n c = Add(eight, b)\n"
                        "d = Mul(c, eight)\n h = Quant<$>(d, s2, z, six)\n y = MatMul(h, m83)"),
    "floor": (VECTOR, 'h = Quant<signed=1, narrow=1, rounding_mode="FLOOR">(q, s2, z, four)\n'
              "y = MatMul(h, m83)"),
    "half up": (VECTOR, 'r = Relu(q)\n'
                'h = Quant<signed=0, narrow=0, rounding_mode="HALF_UP">(r, s2, z, four)\n'
                "y = MatMul(h, m83)"),
    "zero point": (VECTOR, "h = Quant<$>(q, s2, three, four)\n y = MatMul(h, m83)"),
    "one bit": (VECTOR, "h = Quant<$>(q, s, z, one)\n y = MatMul(h, m83)"),
    "bipolar": (VECTOR, "h = BipolarQuant(q, s2)\n y = MatMul(h, m83)"),
    "int quant": (VECTOR, "h = IntQuant<$>(q, s2, z, four)\n y = MatMul(h, m83)"),
    "clip": (VECTOR, "c = Clip(q, minus_one, one)\n h = Quant<$>(c, s2, z, four)\n"
             "y = MatMul(h, m83)"),
    "input clip": (VECTOR, "c = Clip(x, minus_one, one)\n h = Quant<$>(c, s2, z, four)\n"
                   "y = MatMul(h, m83)"),
    "trunc": (VECTOR, 'm = MatMul(q, m83)\n'
              't = Trunc<signed=1, narrow=0, rounding_mode="FLOOR">(m, fine, z, sixteen, s2, eight)'
              "\n y = Mul(t, s)"),
    "qcdq": (VECTOR, "i = QuantizeLinear(q, s2, i3)\n j = Clip(i, ilow, ihigh)\n"
             "h = DequantizeLinear(j, s2, i3)\n y = MatMul(h, m83)"),
    "qcdq read twice": (VECTOR, "i = QuantizeLinear(q, s2, i3)\n h = DequantizeLinear(i, s2, i3)\n"
                        "g = DequantizeLinear(i, s, i3)\n a = Add(g, h)\n y = MatMul(a, m83)"),
    "gemm": (VECTOR, "y = Gemm<transB=1>(q, m38, bias)"),
    "batch norm": (VECTOR, "n = BatchNormalization<epsilon=0.0>(q, eight, minus_eight, eight, "
                   "ones)\n h = Quant<$>(n, s2, z, four)\n y = MatMul(h, m83)"),
    "reshapes": (VECTOR, "a = Reshape(q, to24)\n b = Unsqueeze(a, at)\n c = Squeeze(b, at)\n"
                 "d = Reshape(c, flat)\n y = MatMul(d, m83)"),
    "decision": (VECTOR, "a = MatMul(q, m83)\n y = ArgMax<axis=1, keepdims=1>(a)"),
    "top one": (VECTOR, "a = MatMul(q, m83)\n v, y = TopK<axis=-1>(a, k1)"),
    "sigmoid": (VECTOR, "a = Sigmoid(q)\n h = Quant<$>(a, s, z, six)\n y = MatMul(h, m83)"),
    "tanh of sums": (VECTOR, "m = MatMul(q, m83)\n a = Tanh(m)\n y = Quant<$>(a, fine, z, six)"),
}  # fmt: skip


def constants() -> list[onnx.TensorProto]:
    rng = np.random.default_rng(0)
    floats = {
        "s": 0.25, "s2": 0.5, "fine": 1 / 16, "z": 0.0, "one": 1.0, "minus_one": -1.0, "three": 3.0,
        "four": 4.0, "six": 6.0, "eightb": 8.0, "sixteen": 16.0,
        "minus": np.array([1, -1, 0.5, -2]).reshape(1, 4, 1, 1),
        "eight": np.array([1, 2, -1, 0.5, 4, -2, 1, 8]), "ones": np.ones(8),
        "twelve": np.array([1, -1, 0.5, 2] * 3), "bias": np.array([0.25, -1, 3]),
    }  # fmt: skip
    floats["minus_eight"] = -np.asarray(floats["eight"])
    weights = {
        "k": (4, 4, 3, 3), "kd": (4, 1, 3, 3), "kg": (6, 2, 3, 3), "ks": (4, 4, 3, 3),
        "kb": (3, 4, 5, 6), "m83": (8, 3), "m163": (16, 3), "m43": (4, 3), "m123": (12, 3),
        "m38": (3, 8),
    }  # fmt: skip
    for name, shape in weights.items():
        floats[f"{name}_real"] = rng.normal(0, 1, shape)
    integers = {
        "pads": [0, 0, 1, 2, 0, 0, 0, 1], "k1": [1], "to24": [1, 2, 4], "flat": [0, -1], "at": [2],
    }  # fmt: skip
    made = [onnx.numpy_helper.from_array(np.array(v, np.float32), n) for n, v in floats.items()]
    made += [onnx.numpy_helper.from_array(np.array(v, np.int64), n) for n, v in integers.items()]
    small = {"i3": 3, "ilow": -5, "ihigh": 6}
    return made + [onnx.numpy_helper.from_array(np.array(v, np.int8), n) for n, v in small.items()]


def model(source: str, body: str) -> onnx.ModelProto:
    """The case as a file: only the constants that it reads."""
    body = "q = Quant<$>(x, s, z, six)\n" + body
    for name in (c.name.removesuffix("_real") for c in constants() if c.name.endswith("_real")):
        if f" {name})" in body or f" {name}," in body:
            body = f"{name} = Quant<$>({name}_real, s, z, four)\n" + body
    body = body.replace("s2, eight)", "s2, eightb)")
    body = body.replace("$", 'signed=1, narrow=0, rounding_mode="ROUND"')
    for op in ("IntQuant", "BipolarQuant", "Trunc"):
        body = body.replace(f"= {op}", f"= {Q}.{op}")
    body = body.replace("= Quant<", f"= {Q}.Quant<")
    made = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 13, "{Q}": 2]> net ({source}) => (float[] y) '
        f"{{ {body} }}"
    )
    output = made.graph.output[0].type.tensor_type
    output.ClearField("shape")
    if made.graph.node[-1].op_type in ("ArgMax", "TopK"):
        output.elem_type = onnx.TensorProto.INT64
    read = {name for node in made.graph.node for name in node.input}
    made.graph.initializer.extend(c for c in constants() if c.name in read)
    for i, node in enumerate(made.graph.node):
        node.name = f"n{i}"
    return made


def executed(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    wrapped = ModelWrapper(proto).transform(InferShapes())
    rows = [execute_onnx(wrapped, {"x": row[None]})["y"] for row in x.astype(np.float32)]
    return np.concatenate(rows)


def as_integers(lowered: Lowered, real: np.ndarray) -> np.ndarray:
    """The executor's reals, channels last as in the graph, in its integers."""
    shape = lowered.graph.output.shape
    if len(shape) == 3 and real.shape[1:] != shape:
        real = np.moveaxis(real, 1, -1)
    port = lowered.graph.ports[lowered.graph.output.name]
    exact = real.astype(np.float64) / port.scale - port.offset
    assert np.abs(exact - np.rint(exact)).max() < 1e-3, "these are no integers"
    return np.rint(exact).astype(np.int64).reshape(len(real), *shape)


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_qonnx_computes(name: str, tmp_path: Path) -> None:
    proto = model(*CASES[name])
    onnx.save(proto, tmp_path / "net.onnx")
    lowered = lower_onnx(tmp_path / "net.onnx")
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(0, 3, (12, *shape[1:]))
    x[:6] = np.round(x[:6] * 16) / 16
    found = evaluate(lowered.graph, quantise(lowered.graph, lowered.arrange(x)))
    expected = as_integers(lowered, executed(proto, x))
    assert len(np.unique(expected)) > 1, "the case says nothing"
    assert np.array_equal(found, expected)


def test_a_difference_is_noticed(tmp_path: Path) -> None:
    """Another rounding in the executor's file than in ours."""
    source, body = CASES["floor"]
    onnx.save(model(source, body), tmp_path / "net.onnx")
    lowered = lower_onnx(tmp_path / "net.onnx")
    x = np.round(np.random.default_rng(1).normal(0, 3, (12, 8)) * 16) / 16
    found = evaluate(lowered.graph, quantise(lowered.graph, lowered.arrange(x)))
    other = executed(model(source, body.replace("FLOOR", "CEIL")), x)
    assert not np.array_equal(found, as_integers(lowered, other))
