"""Small Brevitas networks, good and bad, as users would bring them."""

import torch
from brevitas import nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

INPUTS, HIDDEN, OUTPUTS = 8, 6, 3


def source(bits: int = 4) -> nn.Module:
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=bits)


def dense(inputs: int, outputs: int, bits: int = 3) -> nn.Module:
    return qnn.QuantLinear(
        inputs,
        outputs,
        bias=True,
        weight_quant=Int8WeightPerTensorFixedPoint,
        weight_bit_width=bits,
    )


def relu(bits: int = 3) -> nn.Module:
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=bits)


def settled(model: nn.Module) -> nn.Module:
    """The model with weights from a seed, and statistics from a few random batches."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=0.5)
    model.train()
    for _ in range(20):
        model(torch.randn(64, INPUTS))
    return model.eval()


def good() -> nn.Module:
    return settled(
        nn.Sequential(
            source(), dense(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), relu(), dense(HIDDEN, OUTPUTS)
        )
    )


def unquantised_layer() -> nn.Module:
    return nn.Sequential(source(), nn.Linear(INPUTS, HIDDEN), relu(), dense(HIDDEN, OUTPUTS))


def missing_activation_quantiser() -> nn.Module:
    return nn.Sequential(source(), dense(INPUTS, HIDDEN), nn.ReLU(), dense(HIDDEN, OUTPUTS))


def nan_weights() -> nn.Module:
    model = good()
    with torch.no_grad():
        model[1].weight[0, 0] = float("nan")
    return model


def scale_of_zero() -> nn.Module:
    class Zero(Int8ActPerTensorFloat):
        scaling_impl_type = "const"
        restrict_scaling_type = "fp"
        scaling_min_val = None
        scaling_init = 0.0

    first = qnn.QuantIdentity(act_quant=Zero, bit_width=4)
    return nn.Sequential(first, dense(INPUTS, OUTPUTS)).eval()


def too_many_bits() -> nn.Module:
    return nn.Sequential(source(), dense(INPUTS, OUTPUTS, bits=17)).eval()


def two_outputs() -> nn.Module:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = source()
            self.a, self.b = dense(INPUTS, OUTPUTS), dense(INPUTS, OUTPUTS)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = self.source(x)
            return self.a(x), self.b(x)

    return Two().eval()


def reserved_name() -> nn.Module:
    model = nn.Sequential()
    model.add_module("source", source())
    model.add_module("reg", dense(INPUTS, OUTPUTS))
    return settled(model)


def name_of_a_path() -> nn.Module:
    model = nn.Sequential(source(), dense(INPUTS, OUTPUTS))
    model._modules["../x"] = relu()
    return settled(model)


def raises() -> nn.Module:
    raise RuntimeError("no such luck")
