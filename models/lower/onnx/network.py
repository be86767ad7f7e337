"""An ONNX file as a list of nodes in execution order, read without running anything of it.

The file is untrusted: its size is checked before it is read, every declared size before memory is
taken, and names, edges and shapes before anything else looks at them.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from bitwright.models.errors import InputError, StorageError, UnsupportedError
from bitwright.models.lower.onnx.tensors import MAX_PLACES, Array, Store, check_shape, text

MAX_FILE_BYTES = 1 << 29
"""Of the model file itself; larger weights belong into external data."""

MAX_NODES = 100_000

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | Array


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: ONNX names of the tensors it reads ("" where left out) and makes."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    @property
    def title(self) -> str:
        """For messages."""
        called = self.name or self.outputs[0]
        return f"node {called[:120]!r} ({self.op[:40]})"


@dataclass(frozen=True, eq=False)
class Network:
    """The part of an ONNX graph that its outputs need."""

    name: str
    nodes: tuple[Node, ...]
    """In execution order; all but the constants that the file stores."""
    constants: Mapping[str, Array]
    input: str
    shape: tuple[int, ...]
    """Of the input, without the batch."""
    integers: tuple[int, int] | None
    """Smallest and largest input where the file says that inputs are integers."""
    outputs: tuple[str, ...]


def read_network(path: str | Path) -> Network:
    """Read an ONNX file.

    Raises:
        StorageError: no such file, one that is no ONNX model, or data that is not there.
        UnsupportedError: sizes above the limits, subgraphs, sparse tensors, several inputs.
        InputError: a graph that is none: duplicate names, edges from nowhere, cycles.
    """
    file = Path(path)
    model = _parsed(file)
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise UnsupportedError(
            f"{file} has {len(graph.node):,} nodes, above the limit of {MAX_NODES:,}: simplify it"
        )
    if model.functions:
        name = text(model.functions[0].name)[:80]
        raise UnsupportedError(
            f"{file} defines functions of its own ({name!r}): inline them with onnx.inliner first"
        )
    if graph.sparse_initializer:
        raise UnsupportedError(f"{file} stores sparse tensors: store them densely")
    store = Store(file.parent)
    stored: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        name = text(tensor.name)
        if name in stored:
            raise InputError(f"two initialisers of {file} are named {name[:80]!r}")
        store.check(tensor)
        stored[name] = tensor
    nodes, made = [], dict.fromkeys(stored, "an initialiser")
    inputs = [(text(value.name), value) for value in graph.input]
    inputs = [(name, value) for name, value in inputs if name not in stored]
    for name, _ in inputs:
        made[name] = "an input"
    if len({name for name, _ in inputs}) != len(inputs):
        raise InputError(f"two inputs of {file} have one name: rename one")
    for proto in graph.node:
        node = _node(proto, store)
        for name in node.outputs:
            if name and name in made:
                raise InputError(
                    f"{node.title} makes {name[:80]!r}, which is also {made[name]}: every tensor "
                    "is made once"
                )
            made[name] = f"made by {node.title}"
        nodes.append(node)
    outputs = tuple(dict.fromkeys(text(value.name) for value in graph.output))
    if not outputs:
        raise InputError(f"{file} has no output")
    ordered = _ordered(nodes, outputs, made)
    read = {name for node in ordered for name in node.inputs} | set(outputs)
    used = [(name, value) for name, value in inputs if name in read]
    if len(used) != 1:
        raise UnsupportedError(
            f"{file} has {len(used)} inputs that its outputs depend on "
            f"({', '.join(repr(name[:40]) for name, _ in used[:4]) or 'none'}): give it exactly one"
        )
    constants = {name: store.decode(stored[name]) for name in stored if name in read}
    ((input_name, value),) = used
    shape = _input_shape(input_name, value, file)
    return Network(
        text(graph.name),
        ordered,
        constants,
        input_name,
        shape,
        _integers(graph, input_name, value),
        outputs,
    )


def _parsed(file: Path) -> ModelProto:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{file} is no plain file: give an ONNX model")
        if found.st_size > MAX_FILE_BYTES:
            raise StorageError(
                f"{file} has {found.st_size:,} bytes, above the limit of {MAX_FILE_BYTES:,}: save "
                "its weights as external data"
            )
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise StorageError(f"{file} cannot be read: {error}") from None
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RuntimeError, MemoryError):
        raise StorageError(f"{file} is no ONNX model: export it again") from None
    if not model.graph.node or model.ir_version < 1:
        raise StorageError(f"{file} holds no ONNX graph: export it again")
    return model


def _node(proto: NodeProto, store: Store) -> Node:
    bare = Node(
        text(proto.name),
        text(proto.op_type),
        text(proto.domain),
        tuple(text(name) for name in proto.input),
        tuple(text(name) for name in proto.output),
        {},
    )
    if not any(bare.outputs):
        raise InputError(f"a node of type {bare.op[:40]!r} makes nothing: remove it")
    attributes: dict[str, Attribute] = {}
    for given in proto.attribute:
        name = text(given.name)
        if name in attributes:
            raise InputError(f"{bare.title} has two attributes {name[:40]!r}")
        attributes[name] = _attribute(given, bare, store)
    return Node(bare.name, bare.op, bare.domain, bare.inputs, bare.outputs, attributes)


def _attribute(given: AttributeProto, node: Node, store: Store) -> Attribute:
    match given.type:
        case AttributeProto.INT:
            return int(given.i)
        case AttributeProto.FLOAT:
            return float(given.f)
        case AttributeProto.STRING:
            return given.s.decode("utf-8", "replace")
        case AttributeProto.INTS:
            return tuple(given.ints)
        case AttributeProto.FLOATS:
            return tuple(given.floats)
        case AttributeProto.TENSOR:
            return store.decode(given.t)
        case _:
            raise UnsupportedError(
                f"{node.title} has an attribute {text(given.name)[:40]!r} that is no number, "
                "text or tensor (a subgraph, perhaps): only plain operations can be lowered"
            )


def _ordered(
    nodes: list[Node], outputs: tuple[str, ...], made: Mapping[str, str]
) -> tuple[Node, ...]:
    """The nodes that the outputs need, each after those that it reads."""
    makers = {name: node for node in nodes for name in node.outputs if name}
    order: list[Node] = []
    state: dict[int, bool] = {}  # False: being visited, True: placed
    for output in outputs:
        if output not in made:
            raise InputError(f"the output {output[:80]!r} is made by no node")
        if output not in makers:
            continue
        stack: list[tuple[Node, Iterator[str]]] = []
        _push(makers[output], stack, state)
        while stack:
            node, reads = stack[-1]
            name = next(reads, None)
            if name is None:
                stack.pop()
                state[id(node)] = True
                order.append(node)
            elif name and name not in made:
                raise InputError(
                    f"{node.title} reads {name[:80]!r}, which no node makes and the file does not "
                    "store"
                )
            elif name in makers:
                maker = makers[name]
                if state.get(id(maker)) is False:
                    raise InputError(
                        f"{node.title} reads {name[:80]!r}, which depends on the node itself: a "
                        "network has no cycles"
                    )
                _push(maker, stack, state)
    return tuple(order)


def _push(node: Node, stack: list[tuple[Node, Iterator[str]]], state: dict[int, bool]) -> None:
    if id(node) not in state:
        state[id(node)] = False
        stack.append((node, iter(node.inputs)))


def _input_shape(name: str, value: ValueInfoProto, file: Path) -> tuple[int, ...]:
    kind = value.type.tensor_type
    shape = tuple(int(d.dim_value) if d.HasField("dim_value") else 0 for d in kind.shape.dim)
    if len(shape) < 2 or min(shape[1:]) < 1:
        dims = ", ".join(text(d.dim_param)[:20] or str(d.dim_value) for d in kind.shape.dim)
        raise UnsupportedError(
            f"the input {name[:80]!r} of {file} has shape ({dims}): export it with a batch "
            "and fixed sizes behind it"
        )
    check_shape(shape[1:], f"the input {name[:80]!r}", MAX_PLACES)
    return shape[1:]


_INTEGERS: dict[int, tuple[int, int]] = {
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT16: (-32768, 32767),
}


def _integers(graph: GraphProto, name: str, value: ValueInfoProto) -> tuple[int, int] | None:
    """The range of an integer input: by its type, or by QONNX's annotation of a float one."""
    for annotation in graph.quantization_annotation:
        if text(annotation.tensor_name) != name:
            continue
        for entry in annotation.quant_parameter_tensor_names:
            if entry.key == "finn_datatype":
                return _annotated(text(entry.value))
    return _INTEGERS.get(value.type.tensor_type.elem_type)


def _annotated(text: str) -> tuple[int, int] | None:
    """The range of a QONNX data type such as UINT8; None for the others."""
    kind, bits = text.rstrip("0123456789"), text[len(text.rstrip("0123456789")) :]
    if kind not in ("INT", "UINT") or not bits or len(bits) > 2 or not 1 <= int(bits) <= 16:
        return None
    width = int(bits)
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if kind == "INT" else (0, (1 << width) - 1)
