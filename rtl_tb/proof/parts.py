"""Modules proven by their parts, whatever their size.

A module that is nothing but instances is read as a netlist: which cells there are, with which
parameters, and that every port of them is connected as it should. The contents of its memories are
compared with the graph, word for word. What is left are statements about single cells with the
parameters that they have here, which `cells.lemma` proves:

- bw_window reads, for every position, pass and access, the words that the window sees there, in
  order, and never waits for ever. address and pass count the accesses and passes of a position.
- bw_matvec becomes the bias, or what it was, and the sum of the products of the access; it gives
  the sum after the last access. bw_pool likewise. Constants come from memories that answer a cycle
  after the address, as the window does.
- bw_loader writes each word of the load stream at its place, so that after a load a memory holds
  what was sent; in the beginning it holds the graph's words.
- bw_threshold_stream, bw_requantize_stream and bw_lookup_stream compute a beat with the constants
  at the address of the beat's step.

Together: each pass gives one beat, which is what the graph says of its outputs at its position.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.models.graph import (
    LOAD_BITS,
    Conv2d,
    Dense,
    IntArray,
    Loading,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    SumPool,
    Threshold,
    Value,
    Window,
    decode,
    weight_width,
)
from bitwright.models.graph.loading import Memory as Place
from bitwright.rtl_tb.proof.netlist import (
    Bits,
    Instance,
    Netlist,
    contents,
    written_as_told,
)
from bitwright.rtl_tb.proof.reading import ProofError, UnreadError

Cell = tuple[str, Mapping[str, int]]
"""A cell of the library, with the parameters that an instance sets."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What has to be proven of cells, and the words of memories that were compared."""

    cells: tuple[Cell, ...]
    words: int


def parts(
    node: Node,
    source: Value,
    takes: int,
    makes: int,
    netlists: Mapping[str, Netlist],
    module: str,
    loads: Loading | None = None,
) -> Parts | None:
    """The parts of a module that is nothing but instances, or None where it is of another kind.

    takes, makes: elements of a beat. netlists: of the module and its memories. loads: the load
    stream, where it brings the node's weights and biases: the memories begin with the graph's.
    Raises ProofError where it is not what the graph says, UnreadError where it is not understood.
    """
    net, op = netlists[module], node.op
    if net.logic:
        return None
    match op:
        case Dense() | Conv2d() if net.every("bw_window"):
            return _product(net, netlists, op, node, source, takes, makes, loads)
        case MaxPool() | SumPool() if net.every("bw_window"):
            return _pool(net, op, node, source, takes)
        case Threshold() | Requantize() | Lookup() if any(
            one.cell.endswith("_stream") for one in net.instances
        ):
            return _from_memory(net, netlists, op, node, source, takes)
        case _:
            return None


def _window(
    net: Netlist, window: Instance, seen: Window, shape: tuple[int, int], words: int, width: int,
    passes: int, groups: int,
) -> int:  # fmt: skip
    """Check a window's parameters and its ports outwards; returns the accesses of a pass."""
    rows, columns = seen.output(*shape)
    top, left, _, _ = seen.padding
    wanted = {
        "Width": width, "Rows": shape[0], "Columns": shape[1], "Words": words,
        "KernelRows": seen.kernel[0], "KernelColumns": seen.kernel[1],
        "StrideRows": seen.stride[0], "StrideColumns": seen.stride[1], "Top": top, "Left": left,
        "OutRows": rows, "OutColumns": columns, "Passes": passes, "Groups": groups,
    }  # fmt: skip
    _parameters(window, wanted, free=("RingRows",))
    accesses = seen.taps * words // groups
    _wide(net, "data_i", net.inputs["data_i"], width)
    _connected(window, _clocked(net) | {
        "data_i": net.inputs["data_i"], "valid_i": net.inputs["valid_i"],
        "room_i": net.inputs["room_i"], "ready_o": net.outputs["ready_o"],
        "reserve_o": net.outputs["reserve_o"],
    })  # fmt: skip
    widths = {"data_o": width, "address_o": _bits(passes * accesses), "pass_o": _bits(passes)}
    for port in ("valid_o", "first_o", "last_o", "inside_o", "issue_o"):
        widths[port] = 1
    for port, bits in widths.items():
        _wide(net, f"{window.name}.{port}", window.ports.get(port, ()), bits)
    return accesses


def _product(
    net: Netlist, netlists: Mapping[str, Netlist], op: Dense | Conv2d, node: Node, source: Value,
    takes: int, makes: int, loads: Loading | None,
) -> Parts:  # fmt: skip
    kind, made = source.type, node.output.type
    matrix, bias = decode(op.weights), np.asarray(op.bias)
    channels = source.channels
    seen = op.window if isinstance(op, Conv2d) else Window((1, 1))
    shape = source.shape[:2] if isinstance(op, Conv2d) else (source.size // channels, 1)
    groups = op.groups if isinstance(op, Conv2d) else 1
    depthwise = groups == channels == len(bias) and groups > 1
    words = channels // takes
    window, products = net.only("bw_window"), net.every("bw_matvec")
    passes = window.parameters["Passes"]
    outputs = passes * makes
    alike = np.arange(len(bias)) % outputs  # others are copies, which are made behind the module
    if outputs > len(bias) or (matrix != matrix[:, alike]).any() or (bias != bias[alike]).any():
        raise ProofError(f"{net.name} computes {outputs} outputs of {len(bias)}")
    matrix, bias = matrix[:, :outputs], bias[:outputs]
    if depthwise:
        groups, terms = words, 1
    else:
        terms = takes
    accesses = _window(
        net, window, seen, (shape[0], shape[1]), words, takes * kind.width, passes, groups
    )
    bits = max(weight_width(op.weights), 1)
    # Which weight each product of each access has: passes, accesses, outputs and terms of a beat.
    used = np.zeros((passes, accesses, makes, terms), np.int64)
    for access in range(accesses):
        tap, word = divmod(access, words // groups)
        for term in range(terms):
            row = (word * terms + term) * seen.taps + tap  # channels of the output's group
            used[:, access, :, term] = matrix[row].reshape(passes, makes)

    # One sum of products of all outputs, or one of each channel.
    lanes = 1 if depthwise else makes
    ordered = sorted(products, key=lambda one: _place(one.ports["data_o"], net.outputs["data_o"]))
    if len(ordered) * lanes != makes:
        raise UnreadError(f"{net.name} has {len(ordered)} instances of bw_matvec")
    binary = {one.parameters.get("Binary", 0) for one in ordered}
    inverted = {one.parameters.get("Inverted", 0) for one in ordered}
    cuts = {one.parameters.get("Cuts", 0) for one in ordered}
    if any(len(values) > 1 for values in (binary, inverted, cuts)):
        raise UnreadError(f"{net.name} has products of different parameters")
    weights = sum((one.ports["weights_i"] for one in ordered), ())
    biases = sum((one.ports["bias_i"] for one in ordered), ())
    _wide(net, "weights", weights, makes * terms * bits)
    _wide(net, "biases", biases, makes * made.width)
    _wide(net, "data_o", net.outputs["data_o"], makes * made.width)
    for i, one in enumerate(ordered):
        _parameters(one, {
            "Lanes": lanes, "Terms": terms, "InWidth": kind.width, "InSigned": int(kind.signed),
            "WeightWidth": bits, "AccWidth": made.width,
        }, free=("Binary", "Inverted", "Cuts"))  # fmt: skip
        data = window.ports["data_o"]
        data = data[i * kind.width : (i + 1) * kind.width] if depthwise else data
        out = net.outputs["data_o"]
        _connected(one, _clocked(net) | {
            "data_i": data, "valid_i": window.ports["valid_o"],
            "first_i": window.ports["first_o"], "last_i": window.ports["last_o"],
            "data_o": out[i * made.width : (i + 1) * made.width] if depthwise else out,
            "weights_i": weights[i * lanes * terms * bits : (i + 1) * lanes * terms * bits],
            "bias_i": biases[i * lanes * made.width : (i + 1) * lanes * made.width],
        })  # fmt: skip
    if ordered[0].ports["valid_o"] != net.outputs["valid_o"]:
        raise ProofError(f"{net.name}.valid_o is not that of the products")

    memory = _memory(net, weights, loads is not None)
    _connected(memory, {"clk_i": net.inputs["clk_i"], "address_i": window.ports["address_o"]})
    table = used.reshape(passes * accesses, makes * terms)
    stored = _words((table + 1) // 2 if bits == 1 else table, bits)
    words_read = _compare(netlists, memory, stored, loads is not None)

    # A weight of -1 is one more, or one less, than the product: the bias carries it.
    negative = (used == -1).sum(axis=(1, 3))
    wanted = bias.reshape(passes, makes)
    if loads is not None and 1 in binary | inverted:
        raise ProofError(f"{net.name}: biases that are loaded know nothing of the weights")
    if 1 in binary | inverted:
        wanted = wanted + (negative if 1 in inverted else -negative)
    late = bin(cuts.pop()).count("1")
    allowed = [memory]
    cells: list[Cell] = [(window.cell, window.parameters)]
    cells += [(one.cell, one.parameters) for one in ordered]
    if all(bit == "0" for bit in biases):
        if wanted.any():
            raise ProofError(f"{net.name} has no bias")
    else:
        other = _memory(net, biases, loads is not None)
        allowed.append(other)
        at = window.ports["pass_o"]
        if late:
            delay = net.only("bw_delay")
            allowed.append(delay)
            _parameters(delay, {"Width": len(at), "Stages": late})
            _connected(delay, {"clk_i": net.inputs["clk_i"], "enable_i": ("1",), "data_i": at})
            at = delay.ports["data_o"]
            cells.append((delay.cell, delay.parameters))
        _connected(other, {"clk_i": net.inputs["clk_i"], "address_i": at})
        words_read += _compare(netlists, other, _words(wanted, made.width), loads is not None)
        if loads is not None:
            places = loads.memories[node.name, "weights"], loads.memories[node.name, "bias"]
            for place, one in zip(places, (memory, other), strict=True):
                loader = _loaded(net, one, loads, place)
                allowed.append(loader)
                cells.append((loader.cell, loader.parameters))
    if loads is not None and len(allowed) < 4:
        raise ProofError(f"{net.name} has no bias that is loaded")
    _nothing_else(net, [window, *ordered, *allowed])
    return Parts(tuple(cells), words_read)


def _pool(net: Netlist, op: MaxPool | SumPool, node: Node, source: Value, takes: int) -> Parts:
    kind, made = source.type, node.output.type
    window, pool = net.only("bw_window"), net.only("bw_pool")
    words = source.channels // takes
    _window(net, window, op.window, (source.shape[0], source.shape[1]), words, takes * kind.width,
            words, words)  # fmt: skip
    wide = max(kind.width, made.width)
    _parameters(pool, {"Lanes": takes, "InWidth": kind.width, "InSigned": int(kind.signed),
                       "OutWidth": wide, "Max": int(isinstance(op, MaxPool))})  # fmt: skip
    _connected(pool, _clocked(net) | {
        "data_i": window.ports["data_o"], "inside_i": window.ports["inside_o"],
        "valid_i": window.ports["valid_o"], "first_i": window.ports["first_o"],
        "last_i": window.ports["last_o"], "valid_o": net.outputs["valid_o"],
    })  # fmt: skip
    bits, lowest = pool.ports["data_o"], ()  # type: Bits, Bits
    for lane in range(takes):
        lowest += bits[lane * wide : lane * wide + made.width]
    if len(pool.ports["data_o"]) != takes * wide or lowest != net.outputs["data_o"]:
        raise ProofError(f"{net.name}.data_o is not what the pool gives")
    _nothing_else(net, [window, pool])
    return Parts(((window.cell, window.parameters), (pool.cell, pool.parameters)), 0)


def _from_memory(
    net: Netlist, netlists: Mapping[str, Netlist], op: Threshold | Requantize | Lookup, node: Node,
    source: Value, lanes: int,
) -> Parts:  # fmt: skip
    kind, made, steps = source.type, node.output.type, source.channels // lanes
    _wide(net, "data_i", net.inputs["data_i"], lanes * kind.width)
    _wide(net, "data_o", net.outputs["data_o"], lanes * made.width)
    shared = {"Lanes": lanes, "Steps": steps, "InWidth": kind.width, "OutWidth": made.width}
    ports = _clocked(net) | {
        "data_i": net.inputs["data_i"], "valid_i": net.inputs["valid_i"],
        "data_o": net.outputs["data_o"], "valid_o": net.outputs["valid_o"],
    }  # fmt: skip
    if isinstance(op, Lookup):
        cell = net.only("bw_lookup_stream")
        shared["Steps"] = steps = 1 if len(op.table) == 1 else steps
        _parameters(cell, shared)
        _connected(cell, ports)
        address = kind.width + (_bits(steps) if steps > 1 else 0)
        _wide(net, f"{cell.name}.address_o", cell.ports["address_o"], lanes * address)
        _wide(net, f"{cell.name}.table_i", cell.ports["table_i"], lanes * made.width)
        memories, read = [], 0
        for lane in range(lanes):
            memory = _memory(net, _lane(cell.ports["table_i"], lane, lanes))
            at = _lane(cell.ports["address_o"], lane, lanes)
            _connected(memory, {"clk_i": net.inputs["clk_i"], "address_i": at})
            # An entry is found by the bits of the value, the table of the step above them.
            entries = op.table.shape[1]
            wanted = [
                int(op.table[(step * lanes + lane) % len(op.table)][(bits - op.lowest) % entries])
                & (1 << made.width) - 1
                for step in range(steps)
                for bits in range(entries)
            ]
            read += _compare(netlists, memory, wanted)
            memories.append(memory)
        _nothing_else(net, [cell, *memories])
        return Parts(((cell.cell, cell.parameters),), read)

    shared["InSigned"] = int(kind.signed)
    if isinstance(op, Threshold):
        cell = net.only("bw_threshold_stream")
        levels = np.clip(op.thresholds, kind.min, kind.max + 1)  # beyond them, all are alike
        if (np.diff(levels, axis=1) < 0).any():
            raise ProofError(f"{node.name}: thresholds are not in order")
        _parameters(cell, shared | {"Levels": levels.shape[1]})
        fields = [*((column, kind.width + 1) for column in levels.T),
                  (op.base, made.width), (op.step < 0, 1)]  # fmt: skip
    else:
        cell = net.only("bw_requantize_stream")
        widths = cell.parameters["MultiplierWidth"], cell.parameters["BiasWidth"]
        half = 1 << (op.shift - 1) if op.rounding != "floor" and op.shift > 0 else 0
        fields = [(op.multiplier, widths[0]), (op.bias + half, widths[1])]
        for values, width in fields:
            if min(values) < -1 << (width - 1) or max(values) >= 1 << (width - 1):
                raise ProofError(f"{node.name}: constants do not fit {width} bits")
        _parameters(cell, shared | {
            "Shift": op.shift, "HalfEven": int(op.rounding == "half_even"),
            "OutSigned": int(made.signed), "Narrow": int(op.narrow),
        }, free=("MultiplierWidth", "BiasWidth"))  # fmt: skip
    # Bits that are the same for all steps may be wired in; the others are the memory's word.
    given = cell.ports["constants_i"]
    places = [i for i, bit in enumerate(given) if not isinstance(bit, str)]
    memory = _memory(net, tuple(given[i] for i in places))
    _connected(cell, ports)
    _connected(memory, {"clk_i": net.inputs["clk_i"], "address_i": cell.ports["address_o"]})
    _wide(net, f"{cell.name}.address_o", cell.ports["address_o"], _bits(steps))
    each = sum(width for _, width in fields)
    _wide(net, f"{cell.name}.constants_i", cell.ports["constants_i"], lanes * each)
    stored = []
    for step in range(steps):
        word, place = 0, 0
        for channel in range(step * lanes, (step + 1) * lanes):
            for values, width in fields:
                word |= (int(values[channel]) & (1 << width) - 1) << place
                place += width
        for i, bit in enumerate(given):
            if isinstance(bit, str) and bit != str(word >> i & 1):
                raise ProofError(f"{node.name}: bit {i} of the constants is {bit}")
        stored.append(sum((word >> i & 1) << n for n, i in enumerate(places)))
    read = _compare(netlists, memory, stored)
    _nothing_else(net, [cell, memory])
    return Parts(((cell.cell, cell.parameters),), read)


def _bits(count: int) -> int:
    """Of a number that counts so many."""
    return max(1, (count - 1).bit_length())


def _clocked(net: Netlist) -> dict[str, Bits]:
    return {"clk_i": net.inputs["clk_i"], "rst_ni": net.inputs["rst_ni"]}


def _lane(bits: Bits, lane: int, lanes: int) -> Bits:
    each = len(bits) // lanes
    return bits[lane * each : (lane + 1) * each]


def _place(bits: Bits, bus: Bits) -> int:
    """Where on a bus the first of some bits is; behind all of them, if nowhere."""
    return bus.index(bits[0]) if bits and bits[0] in bus else len(bus)


def _parameters(one: Instance, wanted: Mapping[str, int], free: Sequence[str] = ()) -> None:
    found = {name: value for name, value in one.parameters.items() if name not in free}
    if found != dict(wanted):
        differ = sorted(name for name in found.keys() | wanted.keys()
                        if found.get(name) != wanted.get(name))  # fmt: skip
        told = ", ".join(f"{n} is {found.get(n)}, not {wanted.get(n)}" for n in differ)
        raise ProofError(f"{one.name}: {told}")


def _wide(net: Netlist, what: str, bits: Bits, wanted: int) -> None:
    if len(bits) != wanted:
        raise ProofError(f"{net.name}: {what} has {len(bits)} bits, not {wanted}")


def _connected(one: Instance, wanted: Mapping[str, Bits]) -> None:
    for port, bits in wanted.items():
        if one.ports.get(port) != bits:
            raise ProofError(f"{one.name}.{port} is not connected as it should be")


def _loaded(net: Netlist, memory: Instance, loads: Loading, place: Place) -> Instance:
    """What writes a memory: the words that the load stream has for it."""
    found = [
        one for one in net.every("bw_loader") if one.ports.get("write_o") == memory.ports["write_i"]
    ]
    loader = found[0] if found else None
    if loader is None:
        raise ProofError(f"nothing loads {memory.name}")
    _parameters(loader, {"Width": place.width, "Depth": place.depth, "First": place.first,
                         "Beats": loads.beats})  # fmt: skip
    _connected(loader, _clocked(net) | {
        "data_i": net.inputs["load_data_i"], "valid_i": net.inputs["load_valid_i"],
        "last_i": net.inputs["load_last_i"], "address_o": memory.ports["write_address_i"],
        "data_o": memory.ports["write_data_i"],
    })  # fmt: skip
    _wide(net, f"{loader.name}.address_o", loader.ports["address_o"], _bits(place.depth))
    _wide(net, f"{loader.name}.data_o", loader.ports["data_o"], place.width)
    _wide(net, "load_data_i", net.inputs["load_data_i"], LOAD_BITS)
    return loader


_WRITTEN = {"write_i", "write_address_i", "write_data_i"}


def _memory(net: Netlist, word: Bits, loaded: bool = False) -> Instance:
    """The instance that gives a word, all of it and in order."""
    found = [one for one in net.instances if one.ports.get("data_o") == word]
    ports = {"clk_i", "address_i", "data_o"} | (_WRITTEN if loaded else set())
    if len(found) != 1 or set(found[0].ports) != ports:
        raise UnreadError(f"{net.name}: what should be the word of a memory is not")
    return found[0]


def _words(values: IntArray, width: int) -> list[int]:
    """Rows as words, the first element in the lowest bits, in two's complement."""
    mask = (1 << width) - 1
    return [sum((int(v) & mask) << i * width for i, v in enumerate(row)) for row in values]


def _compare(
    netlists: Mapping[str, Netlist], memory: Instance, wanted: Sequence[int], loaded: bool = False
) -> int:
    known = netlists.get(memory.cell)
    if known is None:
        raise UnreadError(f"{memory.cell} is no memory of constants")
    if len(memory.ports["address_i"]) != len(known.inputs.get("address_i", ())) or len(
        memory.ports["data_o"]
    ) != len(known.outputs.get("data_o", ())):
        raise ProofError(f"{memory.name} is connected with other widths than it has")
    found = contents(known, loaded)
    if loaded and not written_as_told(known):
        raise ProofError(f"{memory.cell} does not write what it is told")
    for i, word in enumerate(wanted):
        if i >= len(found) or found[i] != word:
            told = "nothing" if i >= len(found) or found[i] is None else f"{found[i]:#x}"
            raise ProofError(f"word {i} of {memory.cell} is {told}, not {word:#x}")
    return len(wanted)


def _nothing_else(net: Netlist, known: Iterable[Instance]) -> None:
    """No other instance, and no net with two sources."""
    names = {one.name for one in known}
    if others := [one.name for one in net.instances if one.name not in names]:
        raise UnreadError(f"{net.name} has {others[0]}, which is not known")
    sources = [bit for bits in net.inputs.values() for bit in bits]
    for one in net.instances:
        sources += [bit for port, bits in one.ports.items() if port.endswith("_o") for bit in bits]
    if len(set(sources)) != len(sources) or any(isinstance(bit, str) for bit in sources):
        raise ProofError(f"a net of {net.name} has two sources")
