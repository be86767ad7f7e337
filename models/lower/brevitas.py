"""Lowering from Brevitas: a trained torch model becomes an integer graph that computes the same."""

import re
import warnings
from collections.abc import Sequence

import numpy as np
from torch import nn

from bitwright.models.errors import InputError
from bitwright.models.graph import (
    Add,
    Conv2d,
    Dense,
    Graph,
    IntArray,
    Lookup,
    MaxPool,
    Requantize,
    SumPool,
    Threshold,
    Tiled,
    decode,
    optimise,
)
from bitwright.models.lower.lowered import Lowered, identifier
from bitwright.models.lower.trace import evaluating, trace_model
from bitwright.models.lower.walk import Walk


def lower(
    model: nn.Module,
    input_shape: int | Sequence[int],
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    multiplier_bits: int | None = None,
) -> Lowered:
    """Turn a Brevitas model into an integer graph, already optimised.

    model: Brevitas' quantised layers and torch's around them (the README lists them), in
        nn.Sequential or a forward of your own with branches, on float32 and the CPU. It is used in
        eval mode and left as it was.
    input_shape: of one example, without the batch, channels first: 16, (1, 28, 28).
    name: of the graph; the class's by default. labels: of the classes.
    multiplier_bits: width of the factors that bring an output with different scales per channel to
        one scale; see `output`. By default enough for no decision to change in practice.

    The integers of every quantised tensor equal those of the model wherever torch's float32 is
    exact, as with power-of-two scales; `compare` counts the others.

    Raises:
        UnsupportedError: a layer, quantiser or structure that integers cannot follow; the message
            names the module and the remedy.
        InputError: the model fails on `input_shape`.
        GraphError: a module's name cannot be one in hardware.
    """
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(int(n) for n in input_shape)
    if not shape or any(n < 1 for n in shape):
        raise InputError(f"input shape {shape}: give the positive sizes of one example")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(model).__name__)  # JetTagger: jet_tagger
    title = identifier(name or words.lower())
    with evaluating(model):
        walk = Walk(model, trace_model(model, shape), multiplier_bits)
        output = walk.finish()
    first = walk.book.first
    assert first is not None
    ports = {first.name: walk.book.port(), output.edge.name: output.port}
    graph = Graph(
        title,
        (first.value,),
        output.edge.nodes(),
        (output.edge.name,),
        ports,
        tuple(labels),
    )
    for message in [*walk.book.warnings, *equal_replicas(graph)]:
        warnings.warn(message, stacklevel=2)
    made = optimise(graph)
    # An addition that a pass has narrowed is no multiple of torch's sums any more.
    before = {node.name: node.op.multipliers for node in graph.nodes if isinstance(node.op, Add)}
    after = {node.name: node.op.multipliers for node in made.nodes if isinstance(node.op, Add)}
    found = [
        c
        for c in walk.book.counterparts
        if c.tensor in made.values and before.get(c.tensor) == after.get(c.tensor)
    ]
    return Lowered(made, shape, tuple(found))


def equal_replicas(graph: Graph) -> list[str]:
    """A sentence for each tiled layer whose repeated outputs nothing tells apart."""
    found = []
    for node in graph.nodes:
        if not isinstance(node.op, Dense | Conv2d) or not isinstance(node.op.weights, Tiled):
            continue
        columns = [decode(node.op.weights), node.op.bias[None, :]]
        columns += _per_channel(graph, node.name)
        outputs = node.output.channels
        different = len(np.unique(np.concatenate(columns), axis=1).T)
        if different < outputs:
            found.append(
                f"layer {node.name} has {outputs} outputs but computes only {different} different "
                "ones, because its tile repeats and nothing per channel follows: put a "
                "BatchNorm1d or a bias behind it, or make it smaller"
            )
    return found


def _per_channel(graph: Graph, name: str) -> list[IntArray]:
    """What is done to each channel of a tensor by itself, up to the next layer: (…, channels)."""
    made: list[IntArray] = []
    for reader in graph.readers(name):
        match reader.op:
            case Threshold():
                made += [reader.op.thresholds.T, reader.op.base[None], reader.op.step[None]]
            case Requantize():
                made += [reader.op.multiplier[None], reader.op.bias[None]]
                made += _per_channel(graph, reader.name)
            case Lookup() if len(reader.op.table) > 1:
                made.append(reader.op.table.T)
            case MaxPool() | SumPool() | Lookup():
                made += _per_channel(graph, reader.name)
            case Add():  # another branch tells the channels apart
                made.append(np.arange(reader.output.channels)[None])
            case _:
                pass
    return made
