"""What to do about an ONNX operation that cannot be lowered, and messages that say where."""

from collections.abc import Iterator
from contextlib import contextmanager

from bitwright.models.errors import BitwrightError, UnsupportedError

UNFORESEEN = "cannot be lowered, and why was not foreseen: please report it with the file"

_REMEDIES = {
    "ConvTranspose": "use an upsampling-free network; transposed convolutions are not mapped",
    "Softmax": "leave it out: the largest output stays the largest",
    "LogSoftmax": "leave it out: the largest output stays the largest",
    "LeakyRelu": "use Relu",
    "PRelu": "use Relu",
    "Elu": "use Relu",
    "Gelu": "use Relu",
    "HardSwish": "use Relu",
    "HardSigmoid": "use Sigmoid",
    "Sign": "use BipolarQuant, whose result is -1 or +1",
    "MultiThreshold": "export before thresholds are made (FINN's ConvertQONNXtoFINN)",
    "FloatQuant": "use integer quantisers (Quant)",
    "LSTM": "only feed-forward networks can be lowered",
    "GRU": "only feed-forward networks can be lowered",
    "RNN": "only feed-forward networks can be lowered",
    "Slice": "only whole tensors can be read: leave it out",
    "Split": "only whole tensors can be read: use a layer for each part",
    "Gather": "only whole tensors can be read: leave it out",
    "Resize": "resize the data and not in the network",
    "DynamicQuantizeLinear": "use constant scales (QuantizeLinear)",
    "QLinearConv": "export as QuantizeLinear and DequantizeLinear (QCDQ), not as QOperators",
    "QLinearMatMul": "export as QuantizeLinear and DequantizeLinear (QCDQ), not as QOperators",
    "MatMulInteger": "export as QuantizeLinear and DequantizeLinear (QCDQ), not as QOperators",
    "ConvInteger": "export as QuantizeLinear and DequantizeLinear (QCDQ), not as QOperators",
    "LayerNormalization": "use BatchNormalization, which does not depend on the data",
    "InstanceNormalization": "use BatchNormalization, which does not depend on the data",
    "Mul": "multiply with constants",
    "MatMul": "multiply with constant weights",
}

_KNOWN = (
    "what is: Quant, IntQuant, BipolarQuant, Trunc, QuantizeLinear, DequantizeLinear, MatMul, "
    "Gemm, Conv, BatchNormalization, MaxPool, AveragePool, GlobalAveragePool, Add, Sub, Mul, Div, "
    "Relu, Clip, Sigmoid, Tanh, Concat, Pad, Reshape, Flatten, Transpose, ArgMax and TopK"
)


def remedy(op: str) -> str:
    """What to do about an operation, as the end of a sentence."""
    return _REMEDIES.get(op, _KNOWN)


@contextmanager
def about(title: str) -> Iterator[None]:
    """Every message about what happens inside begins with a node's title.

    Nothing that a file holds may end in a traceback. What is not foreseen becomes a message too,
    which the tests look for.
    """
    try:
        yield
    except BitwrightError as error:
        raise type(error)(f"{title} {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as error:
        raise UnsupportedError(f"{title} {UNFORESEEN} ({error!r})") from error
