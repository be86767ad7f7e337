"""Convolutions, pools and branches that cannot be lowered are named, with the remedy."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point, scaled_int, shifted_scaled_int
from torch import Tensor, nn
from torch.nn import functional

from bitwright.models.errors import InputError, UnsupportedError
from bitwright.models.lower import lower

torch.set_num_threads(1)

ACT = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-1.0, max_val=1.0)
WEIGHT = fixed_point.Int8WeightPerTensorFixedPoint
SHAPE = (4, 6, 6)


def act(quant: type = ACT, bits: int = 4, **kwargs: object) -> nn.Module:
    return qnn.QuantIdentity(act_quant=quant, bit_width=bits, **kwargs)


def conv(outputs: int = 4, kernel: int = 3, **kwargs: object) -> nn.Module:
    kwargs = {"bias": False, "weight_quant": WEIGHT, **kwargs}
    return qnn.QuantConv2d(4, outputs, kernel, **kwargs)


def net(**layers: nn.Module) -> nn.Module:
    ends = {"last": act(), "mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    return nn.Sequential(OrderedDict({"inp": act(), **layers, **ends}))


class Calls(nn.Module):
    """A function of one or two branches of a quantised image."""

    def __init__(self, function: Callable[..., Tensor], *branches: nn.Module) -> None:
        super().__init__()
        self.inp, self.branches, self.function = act(), nn.ModuleList(branches), function
        self.flat = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp(x)
        return self.flat(self.function(*[branch(x) for branch in self.branches]))


class TwoInputs(nn.Module):
    """The real input, quantised twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = act(), act(bits=5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.one(x) + self.two(x), 1)


class Skip(nn.Module):
    """The real input beside a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv = act(), conv(padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.conv(self.inp(x)) + x, 1)


class OnInput(nn.Module):
    """Arithmetic in front of the first quantiser."""

    def __init__(self, function: Callable[[Tensor], Tensor], quant: nn.Module) -> None:
        super().__init__()
        self.inp, self.function, self.flat = quant, function, nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flat(self.inp(self.function(x)))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a transposed convolution": (
        lambda: net(up=qnn.QuantConvTranspose2d(4, 4, 2, weight_quant=WEIGHT)),
        "up (QuantConvTranspose2d) is a transposed convolution, which the engines do not have: use "
        "QuantConv1d or QuantConv2d",
    ),
    "a convolution of floats": (
        lambda: net(conv=nn.Conv2d(4, 4, 3)),
        "conv (Conv2d) is not quantised: use brevitas.nn.QuantConv2d",
    ),
    "dilation": (
        lambda: net(conv=conv(dilation=2)),
        "conv (QuantConv2d) has a dilation of (2, 2): use 1",
    ),
    "padding that repeats": (
        lambda: net(conv=conv(padding=1, padding_mode="reflect")),
        "conv (QuantConv2d) pads with 'reflect': use padding_mode='zeros'",
    ),
    "padding as large as the kernel": (
        lambda: net(conv=conv(kernel=1, padding=1)),
        "conv (QuantConv2d) pads a kernel of (1, 1) by (1, 1, 1, 1) (top, left, bottom, right): "
        "pad by less than the kernel",
    ),
    "convolutions in a row": (
        lambda: net(one=conv(), two=conv()),
        "two (QuantConv2d) reads a tensor that is not quantised: put a QuantIdentity",
    ),
    "a convolution called twice": (
        lambda: (lambda m: net(one=m, mid=act(), two=m))(conv()),
        "one (QuantConv2d) is called twice: make two layers",
    ),
    "ceil_mode": (
        lambda: net(pool=nn.MaxPool2d(4, 4, ceil_mode=True)),
        "pool (MaxPool2d) has a last window that reaches beyond the image (ceil_mode): use",
    ),
    "a dilated pool": (
        lambda: net(pool=nn.MaxPool2d(2, dilation=2)),
        "pool (MaxPool2d) has a dilation of 2: use 1",
    ),
    "indices": (
        lambda: Calls(lambda x: x[0], nn.MaxPool2d(2, return_indices=True)),
        "branches.0 (MaxPool2d) makes something else than one tensor",
    ),
    "several tensors": (
        lambda: Calls(lambda x: torch.chunk(x, 2, 1)[0], nn.Identity()),
        "the call of chunk in the model's forward makes something else than one tensor",
    ),
    "an average that counts fewer at the edges": (
        lambda: net(pool=nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
        "pool (AvgPool2d) divides by fewer at the edges (count_include_pad=False)",
    ),
    "windows of several sizes": (
        lambda: net(pool=nn.AdaptiveAvgPool2d(4)),
        "pool (AdaptiveAvgPool2d) makes 4 x 4 of 6 x 6 with windows that are not all alike: use an "
        "output size that divides the image's",
    ),
    "a norm of three dimensions": (
        lambda: net(norm=nn.InstanceNorm2d(4)),
        "norm (InstanceNorm2d) is not supported",
    ),
    "padding in a layer of its own": (
        lambda: net(pad=nn.ZeroPad2d(1)),
        "pad (ZeroPad2d) is not supported",
    ),
    "a sigmoid of floats": (
        lambda: net(curve=nn.Sigmoid()),
        "curve (Sigmoid) is not quantised: use brevitas.nn.QuantSigmoid",
    ),
    "a sigmoid without quantiser": (
        lambda: net(curve=qnn.QuantSigmoid(act_quant=None)),
        "curve (QuantSigmoid) has no an activation quantiser",
    ),
    "a hard swish of sums": (
        lambda: net(conv=conv(), curve=qnn.QuantHardSwish()),
        "curve (QuantHardSwish) reads 15-bit integers in 4 channels, too many for a table: put a "
        "QuantIdentity of at most 10 bits in front of it",
    ),
    "a softmax": (
        lambda: net(soft=nn.Softmax(1)),
        "soft (Softmax) is not supported: leave it out, it does not change which class is largest",
    ),
    "a softmax that is called": (
        lambda: Calls(lambda x: torch.softmax(x, 1), nn.Identity()),
        "the call of softmax in the model's forward is not supported: leave it out, it does not",
    ),
    "a relu without quantiser in front of a layer": (
        lambda: net(conv=conv(), relu=nn.ReLU(), pool=nn.AvgPool2d(2)),
        "pool (AvgPool2d) reads the result of an activation function that is not quantised: put a "
        "QuantIdentity behind that function",
    ),
    "a relu of nothing": (
        lambda: net(cut=nn.Hardtanh(2.0, 3.0)),
        "cut (Hardtanh) makes 0.875 of everything that can reach it",
    ),
    "a hard tanh that its quantiser does not see": (
        lambda: net(conv=conv(), cut=nn.Hardtanh(-0.01, 0.01)),
        "last (QuantIdentity) can only make the integer 0 behind that activation function",
    ),
    "scales that have no ratio": (
        lambda: Calls(torch.add, nn.BatchNorm2d(4), nn.BatchNorm2d(4, eps=0.1)),
        "the call of add in the model's forward adds branches whose scales have no small integer "
        "ratio",
    ),
    "an addition of unequal shapes": (
        lambda: Calls(torch.add, nn.Identity(), nn.AdaptiveMaxPool2d(1)),
        "the call of add in the model's forward adds tensors of shapes (6, 6, 4) and (1, 1, 4), "
        "channels last: make all branches of one shape",
    ),
    "an addition with a factor": (
        lambda: Calls(lambda a, b: torch.add(a, b, alpha=2), nn.Identity(), nn.Identity()),
        "the call of add in the model's forward has alpha=2: concatenate channels (dim=1), and add "
        "without a factor",
    ),
    "rows side by side": (
        lambda: Calls(lambda a, b: torch.cat([a, b], 2), nn.Identity(), nn.Identity()),
        "the call of cat in the model's forward has dim=2: concatenate channels (dim=1)",
    ),
    "a product of branches": (
        lambda: Calls(torch.mul, nn.Identity(), nn.Identity()),
        "the call of mul in the model's forward takes 2 tensors: only additions and concatenations",
    ),
    "the real input in an addition": (
        Skip,
        "the call of add in the model's forward reads the real input: put a QuantIdentity",
    ),
    "an input that is quantised twice": (
        TwoInputs,
        "two (QuantIdentity) quantises the network's input, as one does already: quantise it once",
    ),
    "an input that falls": (
        lambda: OnInput(lambda x: 1 - x, act()),
        "inp (QuantIdentity) quantises -1 * input + 1, which the network's port cannot say: do "
        "that to the data outside the network",
    ),
    "an input with a constant for each channel": (
        lambda: OnInput(lambda x: x - torch.arange(4.0).reshape(4, 1, 1), act()),
        "the call of sub in the model's forward changes the real input by several numbers",
    ),
    "a constant for each pixel": (
        lambda: Calls(lambda x: x * torch.arange(6.0), nn.Identity()),
        "the call of mul in the model's forward combines a tensor with a constant that differs "
        "inside a channel",
    ),
    "a division by a tensor": (
        lambda: Calls(lambda x: 1 / x, nn.ReLU()),
        "the call of truediv in the model's forward divides by a tensor or by zero",
    ),
    "a constant that is nan": (
        lambda: Calls(lambda x: x * float("nan"), nn.Identity()),
        "the call of mul in the model's forward has a constant that is nan",
    ),
    "a transpose": (
        lambda: Calls(lambda x: x.transpose(2, 3), nn.Identity()),
        "the call of transpose in the model's forward is not supported",
    ),
    "a slice": (
        lambda: Calls(lambda x: x[:, :, 0], nn.Identity()),
        "the call of getitem in the model's forward is not supported",
    ),
    "an image of a flattened image": (
        lambda: Calls(lambda x: x.flatten(1).reshape(-1, 2, 12, 6), nn.MaxPool2d(1)),
        "the call of reshape in the model's forward makes an image (2, 12, 6) of a tensor that "
        "hardware has as (144,), channels last, and its elements would have to change places",
    ),
    "an image at the end": (
        lambda: nn.Sequential(act(), nn.MaxPool2d(2)),
        "the output has shape (batch, (4, 3, 3)): flatten it first",
    ),
    "a flattened image at the end": (
        lambda: nn.Sequential(act(), nn.MaxPool2d(2), nn.Flatten()),
        "is a flattened image, whose elements have another order in hardware: end with a pool over "
        "the whole image, or a QuantLinear",
    ),
    "a decision over everything": (
        lambda: Calls(lambda x: torch.argmax(x.mean((2, 3))).reshape(1, 1), nn.Identity()),
        "the call of argmax in the model's forward decides over the whole batch: give argmax dim=1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        lower(make().eval(), SHAPE)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_images_without_a_batch_axis_are_not_taken_for_batches() -> None:
    model = nn.Sequential(act(), qnn.QuantConv2d(3, 2, 3, weight_quant=WEIGHT), nn.Flatten())
    with pytest.raises(UnsupportedError, match=r"\(batch, 6, 6\): give it \(batch, channels, rows"):
        lower(model.eval(), (6, 6))  # torch takes three rows of the trial for three channels


def test_scales_of_channels_must_line_up_with_them() -> None:
    quant = scaled_int.Int8ActPerTensorFloat.let(
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 6),
        scaling_stats_permute_dims=(1, 0, 2, 3),
    )
    with pytest.raises(UnsupportedError, match=r"mid .*scales of shape \(1, 6\)"):
        lower(net(mid=act(quant)).eval(), SHAPE)  # torch would scale the columns


def test_shifted_weights_of_a_convolution() -> None:
    shifted = shifted_scaled_int.ShiftedUint8WeightPerTensorFloat
    with pytest.raises(UnsupportedError, match=r"conv \(QuantConv2d\) has weights with a zero"):
        lower(net(conv=conv(weight_quant=shifted)).eval(), SHAPE)


def test_the_shape_of_images_is_channels_first() -> None:
    with pytest.raises(
        InputError, match=r"fails at conv on a batch of 3 examples of shape \(6, 6, 4\)"
    ):
        lower(net(conv=conv()).eval(), (6, 6, 4))


def test_functional_and_module_pools_are_refused_alike() -> None:
    model = Calls(lambda x: functional.max_pool2d(x, 4, 4, ceil_mode=True), nn.Identity())
    with pytest.raises(UnsupportedError, match=r"the call of max_pool2d .*beyond the image"):
        lower(model.eval(), SHAPE)
