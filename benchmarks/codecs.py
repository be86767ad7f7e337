"""Integers, minifloats, learned codebooks and power grids: accuracy and LUTs at equal weight bits.

One small network on scikit-learn's digits, trained with each, from several seeds; everything but
the weights' format is the same. LUTs are the cost model's estimate of the whole unrolled network,
in which weights are constants: what counts is how many bits an entry has, not its index.
"""

import json
import statistics
from collections.abc import Callable
from typing import Any

import torch
from brevitas import nn as qnn
from brevitas.quant.fixed_point import (
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPointMaxInit,
)
from brevitas.quant.float import Fp8e4m3WeightPerTensorFloat
from torch import nn

from benchmarks.row import FOLDER
from bitwright.cost_model import estimate, unrolled_plan
from bitwright.models.data import Dataset, digits
from bitwright.models.graph import Dense, Target, stored_bits
from bitwright.models.layers import CodebookLinear, Codebooks, PowerGrid, PowerLinear
from bitwright.models.lower import compare, lower
from bitwright.models.train import Recipe, train

TARGET: Target = "xc7"
HIDDEN = 16
BITS = (3, 4)
SEEDS = (0, 1, 2)
EPOCHS = 10
MINIFLOATS = {3: (2, 0), 4: (2, 1)}
"""Exponent and mantissa bits of the minifloat of each width."""

Layer = Callable[[int, int], nn.Module]


def layers(bits: int) -> dict[str, Layer]:
    """Linear layers without bias whose weights have so many bits, by the name of the format."""

    def integer(inputs: int, outputs: int) -> nn.Module:
        quant = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": bits}
        made: nn.Module = qnn.QuantLinear(inputs, outputs, bias=False, **quant)
        return made

    def minifloat(inputs: int, outputs: int) -> nn.Module:
        exponent, mantissa = MINIFLOATS[bits]
        quant = Fp8e4m3WeightPerTensorFloat.let(
            bit_width=bits,
            exponent_bit_width=exponent,
            mantissa_bit_width=mantissa,
            restrict_scaling_type="power_of_two",
        )
        made: nn.Module = qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=quant)
        return made

    def codebook(entry_bits: int) -> Layer:
        books = Codebooks(bits, entry_bits=entry_bits)
        return lambda inputs, outputs: CodebookLinear(inputs, outputs, bias=False, codebooks=books)

    def power(entry_bits: int) -> Layer:
        grid = PowerGrid(bits, entry_bits=entry_bits)
        return lambda inputs, outputs: PowerLinear(inputs, outputs, bias=False, grid=grid)

    found: dict[str, Layer] = {"integer": integer, "minifloat": minifloat}
    for entry_bits in (bits + 1, 8):
        found[f"codebook, {entry_bits}-bit entries"] = codebook(entry_bits)
        found[f"power, {entry_bits}-bit entries"] = power(entry_bits)
    return found


def network(layer: Layer, seed: int) -> nn.Module:
    """64-16-10 with 4-bit inputs and 3-bit activations."""
    act: dict[str, Any] = {
        "act_quant": Uint8ActPerTensorFixedPointMaxInit,
        "return_quant_tensor": True,
    }
    torch.manual_seed(seed)
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=4, max_val=1.0, **act),
        layer(64, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        qnn.QuantReLU(bit_width=3, max_val=4.0, **act),
        layer(HIDDEN, 10),
        nn.BatchNorm1d(10),
    )


def row(name: str, bits: int, layer: Layer, data: Dataset) -> dict[str, object]:
    """Accuracy, LUTs and stored weight bits of one format: of every seed, and their means."""
    accuracies, luts, stored, differing = [], [], [], 0
    for seed in SEEDS:
        model = network(layer, seed)
        train(model, data, Recipe(epochs=EPOCHS, seed=seed, noise=0.1))
        lowered = lower(model, 64)
        result = compare(model, lowered, data.x_test, data.y_test)
        assert result.accuracy_reference is not None
        graph = lowered.graph
        accuracies.append(result.accuracy_reference)
        differing += result.differing
        luts.append(round(estimate(graph, unrolled_plan(graph, TARGET)).total.lut))
        ops = (node.op for node in graph.nodes)
        stored.append(sum(stored_bits(op.weights) for op in ops if isinstance(op, Dense)))
    return {
        "name": name,
        "bits": bits,
        "accuracy": statistics.mean(accuracies),
        "accuracies": accuracies,
        "luts": round(statistics.mean(luts)),
        "luts_by_seed": luts,
        "stored_bits": round(statistics.mean(stored)),
        "stored_bits_by_seed": stored,
        "differing_integers": differing,
    }


def main() -> None:
    """Train, lower and estimate every format; print the table and write out/bench/codecs.json."""
    data = digits()
    rows = []
    print(
        f"{'bits':4} {'weights':26} {'accuracy, %':>20} {f'LUT, {TARGET}':>10} {'stored bits':>12}"
    )
    for bits in BITS:
        for name, layer in layers(bits).items():
            made = row(name, bits, layer, data)
            rows.append(made)
            each = made["accuracies"]
            assert isinstance(each, list) and isinstance(made["accuracy"], float)
            spread = f"{100 * made['accuracy']:.1f} ({100 * min(each):.1f}-{100 * max(each):.1f})"
            print(
                f"{bits:4} {name:26} {spread:>20} {made['luts']:10,} {made['stored_bits']:12,}",
                flush=True,
            )
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "codecs.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
