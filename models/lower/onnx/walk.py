"""The walk over an ONNX graph: each node folds a constant, moves a wire on, or is refused."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower import curves, requantise
from bitwright.models.lower.edges import Edge, Quantiser
from bitwright.models.lower.onnx import activations, branches, decisions, layers, moves, pools
from bitwright.models.lower.onnx.arithmetic import arithmetic, limited, negated
from bitwright.models.lower.onnx.attributes import integer, real
from bitwright.models.lower.onnx.constants import fold, shape_of
from bitwright.models.lower.onnx.fused import Fused, fuse
from bitwright.models.lower.onnx.images import vector
from bitwright.models.lower.onnx.inputs import Input
from bitwright.models.lower.onnx.names import Names
from bitwright.models.lower.onnx.network import Network, Node
from bitwright.models.lower.onnx.quantised_constants import along_axis
from bitwright.models.lower.onnx.refusals import about, remedy
from bitwright.models.lower.onnx.tensors import MAX_FOLDED, Array
from bitwright.models.lower.onnx.values import Constant
from bitwright.models.lower.onnx.wires import NO_PADDING, Wire, computed
from bitwright.models.lower.output import Output

_DOMAINS = ("", "ai.onnx", "qonnx", "onnx.brevitas")
_QUANTISERS = {"Quant", "IntQuant", "BipolarQuant", "QuantizeLinear"}

Tensor = Wire | Constant


class Walk:
    """One pass over a network, from its input to its outputs."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._names = Names()
        self._folded = 0
        self.input = Input(network, self._names)
        self._tensors: dict[str, Tensor] = {
            name: Constant(values) for name, values in network.constants.items()
        }
        self._readers: defaultdict[str, set[str]] = defaultdict(set)
        """The types of the operations that read each tensor."""
        for node in network.nodes:
            for name in node.inputs:
                self._readers[name].add(node.op)
        for name in network.outputs:
            self._readers[name].add("")
        self._tensors[network.input] = self.input.start()
        for step in fuse(network):
            with about(step.title):
                made = self._fused(step) if isinstance(step, Fused) else self._step(step)
            self._tensors.update(made)

    def outputs(self, multiplier_bits: int | None) -> list[Output]:
        """The outputs of the network, each brought to one scale."""
        return [self._output(name, multiplier_bits) for name in self._network.outputs]

    def _output(self, name: str, multiplier_bits: int | None) -> Output:
        with about(f"the output {name[:80]!r}"):
            if name not in self._tensors:
                raise UnsupportedError("is the value of a TopK: only its index can be used")
            return decisions.output(self._tensors[name], multiplier_bits)

    def _step(self, node: Node) -> dict[str, Tensor]:
        if not (node.domain in _DOMAINS or node.domain.startswith(("qonnx.", "finn."))):
            raise UnsupportedError(
                f"is of the domain {node.domain[:40]!r}, which bitwright does not know; "
                f"{remedy('')}"
            )
        given = [self._tensor(name) for name in node.inputs]
        known = [one for one in given if not isinstance(one, Wire)]
        output = node.outputs[0]
        if len(known) == len(given):
            return {output: self._fold(node, known)}
        first = given[0]
        if isinstance(first, Wire) and len(known) == len(given) - 1:
            if node.op in ("TopK", "ArgMax"):
                return {**decisions.decision(node, first, known, self._names)}
            if node.op == "Shape":
                return {output: shape_of((1, *first.shape))}
        return {output: self._wire(node, given)}

    def _fold(self, node: Node, known: Sequence[Constant | None]) -> Constant:
        made = fold(node, known)
        self._folded += made.values.size
        if self._folded > MAX_FOLDED:
            raise UnsupportedError(
                f"is where constants computed in advance exceed {MAX_FOLDED:,} elements: fold the "
                "model's constants first"
            )
        return made

    def _tensor(self, name: str) -> Tensor | None:
        if not name:
            return None
        if name not in self._tensors:
            raise UnsupportedError(
                f"reads {name[:80]!r}, a second output of its node: only first outputs, and the "
                "index of TopK, can be read"
            )
        return self._tensors[name]

    def _wire(self, node: Node, given: list[Tensor | None]) -> Wire:
        match node.op:
            case "Add" | "Sub" | "Mul" | "Div" | "Sum":
                return arithmetic(node, given, self._names)
            case "Concat":
                wires = [one for one in given if isinstance(one, Wire)]
                if len(wires) != len(given):
                    raise UnsupportedError("joins a constant to a tensor: join tensors only")
                return branches.concat(node, wires, self._names.of(node))
            case _:
                pass
        first = given[0]
        known = [one for one in given[1:] if not isinstance(one, Wire)]
        if not isinstance(first, Wire) or len(known) != len(given) - 1:
            raise UnsupportedError(
                "needs a tensor that depends on the network's input in the first place and "
                f"constants in all others; {remedy(node.op)}"
            )
        made = moves.moved(node, first, known)
        return self._computed(node, first, known) if made is None else made

    def _computed(self, node: Node, wire: Wire, known: list[Constant | None]) -> Wire:
        names = self._names
        match node.op:
            case "Quant" | "IntQuant" | "BipolarQuant":
                arrays = _arrays(known)
                if wire.edge is not None and any(a.size > 1 for a in arrays) and not wire.function:
                    wire = vector(wire, names)
                to = activations.quantiser(node, wire, arrays)
                return self._quantised(wire, names.of(node), to)
            case "Trunc":
                return self._truncated(node, wire, known)
            case "QuantizeLinear":
                return self._integers(node, wire, known)
            case "DequantizeLinear":
                return activations.dequantised(node, wire, known)
            case "MatMul":
                return layers.dense(node, wire, names.of(node), _needed(known, 0), None)
            case "Gemm":
                return layers.dense(node, wire, names.of(node), *_gemm(node, known))
            case "Conv":
                add = known[1] if len(known) > 1 else None
                return layers.conv(node, wire, names.of(node), _needed(known, 0), add)
            case "BatchNormalization":
                return layers.batch_norm(node, wire, _arrays(known), names)
            case "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool":
                return pools.pool(node, wire, names.of(node))
            case "ReduceMean":
                return pools.mean(node, wire, _arrays(known), names.of(node))
            case "Neg":
                return negated(wire, names)
            case "Relu" | "Clip":
                return limited(node, wire, known, names, self._waits(node))
            case "Sigmoid" | "Tanh":
                computed(wire)
                return replace(wire, function=node.op)
            case _:
                raise UnsupportedError(f"is not supported; {remedy(node.op)}")

    def _waits(self, node: Node) -> bool:
        """Whether only quantisers read what a node makes."""
        return self._readers[node.outputs[0]] <= _QUANTISERS

    def _quantised(self, wire: Wire, name: str, to: Quantiser) -> Wire:
        zero_stays = to.offset.denominator == 1 and to.low <= to.shift <= to.high
        if wire.padding != NO_PADDING and not zero_stays:
            raise UnsupportedError("makes something else of the zeros around an image: pad behind")
        if wire.edge is None:
            return self.input.quantised(wire, name, to)
        if not wire.function:
            return self._on(wire, name, requantise.quantise(wire.edge, name, to))
        if len(to.scale) > 1:
            raise UnsupportedError(f"quantises a {wire.function} per channel: use one scale")
        curve = activations.curve(wire.function, to)
        edge = curves.quantised_curve(wire.edge, name, curve, to, rises=True)
        return replace(wire, edge=edge, function="")

    def _truncated(self, node: Node, wire: Wire, known: list[Constant | None]) -> Wire:
        edge, name = computed(wire), self._names.of(node)
        to, factor = activations.truncation(node, edge, _arrays(known))
        made = requantise.quantise(edge, name, to)
        scale = tuple(s * factor for s in made.scale)
        offset = tuple(o * factor for o in made.offset)
        return self._on(wire, name, replace(made, scale=scale, offset=offset))

    def _on(self, wire: Wire, name: str, edge: Edge) -> Wire:
        """The wire with a new edge, and its name given back where no tensor got it."""
        if edge.name != name:
            self._names.spare(name)
        return replace(wire, edge=edge)

    def _fused(self, step: Fused) -> dict[str, Tensor]:
        """QuantizeLinear, Clip and DequantizeLinear at once; of a constant, one after another."""
        wire = self._tensor(step.quantise.inputs[0])
        if not isinstance(wire, Wire):
            for node in step.nodes:
                self._tensors.update(self._step(node))
            return {}
        scale, low, high, zero = step.parameters(self._known)
        shaped = along_axis(step.quantise, scale, len(wire.shape) + 1)
        to = activations.linear_quantiser(wire, shaped, zero, low, high)
        return {step.output: self._quantised(wire, self._names.of(step.quantise), to)}

    def _integers(self, node: Node, wire: Wire, known: list[Constant | None]) -> Wire:
        """QuantizeLinear by itself: a tensor that means its own integers."""
        step = Fused(node, None, node)
        scale, low, high, zero = step.parameters(self._known)
        to = activations.linear_quantiser(
            wire, along_axis(node, scale, len(wire.shape) + 1), zero, low, high
        )
        made = self._quantised(wire, self._names.of(node), to)
        return activations.as_integers(made, zero)

    def _known(self, name: str) -> Constant | None:
        found = self._tensor(name)
        if isinstance(found, Wire):
            raise UnsupportedError("has a parameter that depends on the input: use constants")
        return found


def _arrays(known: Sequence[Constant | None]) -> list[Array]:
    return [one.values for one in known if one is not None]


def _needed(known: Sequence[Constant | None], index: int) -> Constant:
    found = known[index] if index < len(known) else None
    if found is None:
        raise UnsupportedError("lacks one of its constant inputs: export the model again")
    return found


def _gemm(node: Node, known: list[Constant | None]) -> tuple[Constant, Constant | None]:
    if integer(node, "transA", 0):
        raise UnsupportedError("transposes its input: use transA=0")
    if real(node, "alpha", 1.0) != 1.0 or real(node, "beta", 1.0) != 1.0:
        raise UnsupportedError("has alpha or beta other than 1: scale the weights instead")
    matrix, add = _needed(known, 0), known[1] if len(known) > 1 else None
    return (matrix.moved(lambda a: a.T) if integer(node, "transB", 0) else matrix), add
