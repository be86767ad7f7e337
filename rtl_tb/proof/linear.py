"""Adder graphs proven from their text: every output is what it should be, for all inputs.

The SystemVerilog of a module is read, not the structure that it was printed from. Every wire and
register is followed as an integer linear form over the elements of the input, of which it holds the
lowest bits; nothing is simulated, and nothing of the emitter is used. What is checked:

- A value that is extended holds its form whole: no value of the inputs that can occur overflows it.
  (A wire may be narrower than its form where only its lowest bits are read, modulo 2^width.)
- The two sides of an addition are of the same clock cycle: of equally many registers.
- Every output has the form, constant and position that the graph says, its range fits the output's
  type, and as many registers lie before it as the handshake counts.

What is not understood is refused, so that a proof is of the whole text. Not part of it: library
cells (bw_pipe, bw_round_saturate), synthesis, and which values can reach the inputs, which the
graph's intervals say (and are themselves derived, see models/graph/ranges.py).
"""

import re
from dataclasses import dataclass

import numpy as np

from bitwright.models.graph import (
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntArray,
    Interval,
    IntType,
    Node,
    Requantize,
    Value,
    decode,
    with_any_weights,
)
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.proof.reading import Form, Module, ProofError, UnreadError, fits, read_module


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of a node: `refuted` says why it is not, `outputs` how many were proven."""

    node: str
    module: str
    outputs: int = 0
    wires: int = 0
    registers: int = 0
    stages: int = 0
    """Of the cell bw_pipe that the handshake goes through."""
    refuted: str | None = None
    unread: bool = False
    """Refused because it is not understood; it may mean the same all the same."""
    roundings: tuple[str, ...] = ()
    """Parameters of the rounding cells behind the sums, which are proven elsewhere."""


def prove_linear(graph: Graph, design: Design) -> tuple[list[Proof], list[str]]:
    """Prove every module of a design that is an adder graph.

    Returns the proofs, refuted ones among them, and the nodes that are of another kind, for which
    simulation alone speaks. Raises StorageError where a file cannot be read.
    """
    plan = design.plan
    known = with_any_weights(graph, plan.loadable) if plan is not None else graph
    texts = design.texts()
    proofs, others = [], []
    for node in graph.nodes:
        module, source = design.modules.get(node.name), graph.values[node.inputs[0]]
        folded = plan is None or isinstance(plan.engines[node.name], Folded)
        if folded or module is None or not isinstance(node.op, Dense | Conv2d | Requantize):
            others.append(node.name)
            continue
        lanes = source.channels
        if isinstance(node.op, Requantize):
            lanes = _lanes(texts[module], source)
        if lanes % source.channels:  # a part of the channels, with constants from a memory
            others.append(node.name)
            continue
        reach = known.intervals[source.name]
        proofs.append(_prove_node(node, module, texts[module], source, reach, lanes))
    return proofs, others


def _lanes(text: str, source: Value) -> int:
    """Elements that a beat of a requantiser's input has: all channels, or of several pixels."""
    found = re.search(r"input logic \[(\d+):0\] data_i", " ".join(text.split()))
    return (int(found[1]) + 1) // source.type.width if found else source.channels


def _prove_node(
    node: Node, module: str, text: str, source: Value, reach: Interval, lanes: int
) -> Proof:
    matrix, constant, low, high = _intended(node, source, reach, lanes)
    try:
        made, stages = prove_text(text, matrix, constant, low, high, source.type, node)
        roundings = tuple(sorted({parameters for _, parameters in made.rounders.values()}))
        return Proof(
            node.name,
            module,
            matrix.shape[1],
            made.wires,
            made.registers,
            stages,
            roundings=roundings,
        )
    except ProofError as error:
        unread = isinstance(error, UnreadError)
        return Proof(node.name, module, refuted=str(error), unread=unread)


def _intended(
    node: Node, source: Value, reach: Interval, lanes: int
) -> tuple[IntArray, list[int], list[int], list[int]]:
    """The matrix (inputs, outputs) and constant of one beat, and the bounds of its inputs."""
    op = node.op
    low, high = [int(v) for v in reach.low], [int(v) for v in reach.high]
    match op:
        case Dense():
            return decode(op.weights), [int(v) for v in op.bias], low, high
        case Requantize():
            half = 1 << (op.shift - 1) if op.rounding != "floor" and op.shift > 0 else 0
            times = lanes // source.channels
            constant = [int(v) + half for v in op.bias] * times
            return np.diag(np.tile(op.multiplier, times)), constant, low * times, high * times
        case Conv2d():
            weights, taps = decode(op.weights), op.window.taps
            channels, outputs = source.channels, len(op.bias)
            each, made = channels // op.groups, outputs // op.groups
            matrix = np.zeros((taps * channels, outputs), np.int64)
            for tap in range(taps):
                for channel in range(each):
                    for o in range(outputs):
                        row = tap * channels + o // made * each + channel
                        matrix[row, o] = weights[channel * taps + tap, o]
            if op.window.pads:
                low, high = [min(v, 0) for v in low], [max(v, 0) for v in high]
            return matrix, [int(v) for v in op.bias], low * taps, high * taps
        case _:
            raise AssertionError(node.kind)


def prove_text(
    text: str,
    matrix: IntArray,
    constant: list[int],
    low: list[int],
    high: list[int],
    kind: IntType,
    node: Node,
) -> tuple[Module, int]:
    """Read a module and check all of it; returns the stages of its handshake too.

    Raises ProofError where it is not the intended product.
    """
    module = Module(len(matrix), kind, low, high)
    stages = read_module(text, module)
    made, op = node.output.type, node.op
    wanted = [f"y{o}" for o in range(matrix.shape[1])]
    if module.data_q != wanted:
        raise ProofError(f"the output is {module.data_q}, not {wanted[0]} to {wanted[-1]} in order")
    if module.declared.get("data_q") != (len(wanted) * made.width, False):
        raise ProofError(f"data_q is not {len(wanted)} x {made.width} bits")
    for o, name in enumerate(wanted):
        form = {i: int(v) for i, v in enumerate(matrix[:, o]) if v} | {-1: constant[o]}
        width, signed = made.width, made.signed
        if isinstance(op, Requantize):
            if name not in module.rounders or module.declared.get(name) != (width, False):
                raise ProofError(f"{name} is not {width} bits made by bw_round_saturate")
            name, parameters = module.rounders[name]
            width, signed = module.signals[name].width if name in module.signals else 0, True
            told = (
                f".InWidth({width}), .Shift({op.shift}), "
                f".HalfEven({int(op.rounding == 'half_even')}), .OutWidth({made.width}), "
                f".OutSigned({int(made.signed)}), .Narrow({int(op.narrow)})"
            )
            if parameters != told:
                raise ProofError(f"{name} is rounded with {parameters} instead of {told}")
        if name not in module.signals:
            raise ProofError(f"{name} is never assigned")
        found = module.signals[name]
        if found.width != width:
            raise ProofError(f"output {o} has {found.width} bits instead of {width}")
        if _modulo(found.form, width) != _modulo(form, width):
            raise ProofError(f"output {o} is not column {o} of the weights and its constant")
        if not fits(module, form, width, signed):
            raise ProofError(f"output {o} does not fit {width} bits")
        if found.age is not None and found.age != stages - 1:
            raise ProofError(f"output {o} is {found.age + 1} cycles old, the handshake {stages}")
    return module, stages


def _modulo(form: Form, width: int) -> dict[int, int]:
    """Forms that are equal here have equal lowest bits, whatever the inputs."""
    return {i: value % (1 << width) for i, value in form.items() if value % (1 << width)}
