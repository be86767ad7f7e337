"""The design as a whole, by composition: proven modules, connected as the graph says.

The top module is read as a netlist. Whole vectors: a chain of modules that each hand over with
valid and ready, whatever their neighbours do. Streams: blocks between FIFOs; a block begins a beat
where every FIFO behind it has room and everything that it reads is there, and puts away what it
began; so nothing is lost, doubled or overtaken, and each tensor that comes out is what the graph
says of the one that went in. Every port of every instance is checked; what is left are statements
about single cells with the parameters that they have here.

Not part of it: that a design with branches never waits for itself. Which FIFOs are deep enough is
found out by playing the streams (`models/graph/cycles.py`), and shown in simulation.
"""

from collections.abc import Collection, Mapping

from bitwright.models.graph import Add, Concat, Graph, IntType, Plan
from bitwright.models.graph.cycles import sized
from bitwright.models.graph.heads import Lines, Narrow, Pass, Repeat, Sweep, Widen
from bitwright.models.graph.streams import INPUT, OUTPUT, Block, Streams, is_streamed
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.folded import sweeps
from bitwright.rtl_tb.proof.netlist import Bit, Bits, Instance, Netlist
from bitwright.rtl_tb.proof.parts import Cell
from bitwright.rtl_tb.proof.reading import ProofError, UnreadError


def connecting_cells(graph: Graph, plan: Plan, design: Design, top: Netlist) -> list[Cell]:
    """The cells that connect the nodes' modules, which are connected as the graph says.

    Raises ProofError where something is not connected as it should be, UnreadError where the design
    is of another kind.
    """
    if plan.redundancy != 1:
        raise UnreadError("triple redundancy is not composed")
    if is_streamed(graph, plan):
        return _Streamed(graph, sized(graph, plan), design, top, plan.loadable).cells()
    return _chain(graph, design, top)


def _chain(graph: Graph, design: Design, top: Netlist) -> list[Cell]:
    read = _Reader(top)
    data, valid = top.inputs["s_axis_tdata"][: graph.input.bits], top.inputs["s_axis_tvalid"]
    last, ready = top.inputs["s_axis_tlast"], top.outputs["s_axis_tready"]
    previous = graph.input.name
    for node in graph.nodes:
        if node.inputs != (previous,):
            raise UnreadError("the nodes are no chain")
        one = read.instance(design.modules[node.name])
        read.connected(one, read.clocked | {
            "data_i": data, "valid_i": valid, "last_i": last, "ready_o": ready,
        })  # fmt: skip
        data, valid, last = (one.ports[port] for port in ("data_o", "valid_o", "last_o"))
        if len(data) != node.output.bits:
            raise ProofError(f"{one.name}.data_o is not {node.output.bits} bits wide")
        ready, previous = one.ports["ready_i"], node.name
    read.output("m_axis_tdata", data)
    read.same("m_axis_tvalid", valid)
    read.same("m_axis_tlast", last)
    if ready != top.inputs["m_axis_tready"]:
        raise ProofError("m_axis_tready does not go to the last module")
    read.nothing_else()
    return []


class _Reader:
    """A top module's instances, each taken once, and the nets between them."""

    def __init__(self, top: Netlist) -> None:
        self.top = top
        self.left = list(top.instances)
        self.taken: list[Instance] = []
        self.clocked = {name: top.inputs[name] for name in ("clk_i", "rst_ni")}
        self.ands: dict[Bit, tuple[Bit, ...]] = {}
        for cell in top.logic:
            if cell["type"] not in ("$and", "$logic_and"):
                raise UnreadError(f"{top.name} has a {cell['type']}")
            ports = cell["connections"]
            if not len(ports["A"]) == len(ports["B"]) == len(ports["Y"]) == 1:
                raise UnreadError(f"{top.name} has a {cell['type']} of several bits")
            self.ands[ports["Y"][0]] = ports["A"][0], ports["B"][0]

    def instance(self, cell: str, name: str = "", **ports: Bits) -> Instance:
        """The next instance of a cell with these connections. Raises ProofError.

        name: which of several with equal ones.
        """
        for one in self.left:
            if (
                one.cell == cell
                and name in ("", one.name)
                and all(one.ports.get(port) == bits for port, bits in ports.items())
            ):
                self.left.remove(one)
                self.taken.append(one)
                return one
        told = f" at {' and '.join(ports)}" if ports else ""
        raise ProofError(f"{self.top.name} has no {cell} that is connected as it should be{told}")

    def connected(self, one: Instance, wanted: Mapping[str, Bits]) -> None:
        for port, bits in wanted.items():
            if one.ports.get(port) != bits:
                raise ProofError(f"{one.name}.{port} is not connected as it should be")

    def all_of(self, bit: Bit) -> frozenset[Bit]:
        """The nets of which a net is the conjunction."""
        if bit not in self.ands:
            return frozenset([bit])
        a, b = self.ands[bit]
        return self.all_of(a) | self.all_of(b)

    def output(self, port: str, data: Bits) -> None:
        """The data that leaves, with bits of padding above."""
        if self.top.outputs[port][: len(data)] != data:
            raise ProofError(f"{port} is not what the last module gives")

    def same(self, port: str, bits: Bits) -> None:
        if self.top.outputs[port] != bits:
            raise ProofError(f"{port} is not what the last module gives")

    def nothing_else(self) -> None:
        """No other instance, and no net with two sources."""
        if self.left:
            raise UnreadError(f"{self.top.name} has {self.left[0].name}, which is not known")
        sources: list[Bit] = [bit for bits in self.top.inputs.values() for bit in bits]
        sources += self.ands
        for one in self.taken:
            for port, bits in one.ports.items():
                sources += bits if port.endswith("_o") else ()
        if len(set(sources)) != len(sources) or any(isinstance(bit, str) for bit in sources):
            raise ProofError(f"a net of {self.top.name} has two sources")


class _Streamed:
    def __init__(
        self, graph: Graph, made: Streams, design: Design, top: Netlist, loadable: Collection[str]
    ) -> None:
        self.graph, self.made, self.design, self.loadable = graph, made, design, loadable
        self.read = _Reader(top)
        self.used: list[Cell] = []
        # What can be read: data, valid, and what says that it is taken.
        self.streams: dict[str, tuple[Bits, Bits, Bits]] = {
            INPUT: (
                top.inputs["s_axis_tdata"][: made.input_lanes * graph.input.type.width],
                top.inputs["s_axis_tvalid"],
                top.outputs["s_axis_tready"],
            )
        }

    def cells(self) -> list[Cell]:
        for block in self.made.blocks:
            self._block(block)
        top, read = self.read.top, self.read
        if self.loadable and top.outputs["s_load_tready"] != ("1",):
            raise ProofError("s_load_tready is not always high")
        data, valid, ready = self.streams[OUTPUT]
        read.output("m_axis_tdata", data)
        read.same("m_axis_tvalid", valid)
        if ready != top.inputs["m_axis_tready"]:
            raise ProofError("m_axis_tready does not go to the last FIFO")
        frame = read.instance("bw_frame", last_o=top.outputs["m_axis_tlast"])
        beats = self.graph.output.size // self.made.fifos[OUTPUT].lanes
        if frame.parameters != {"Beats": beats}:
            raise ProofError(f"tlast does not mark every {beats}th beat")
        read.connected(frame, read.clocked)
        if self.read.all_of(frame.ports["beat_i"][0]) != {valid[0], ready[0]}:
            raise ProofError("tlast does not count the beats that are taken")
        self.used.append((frame.cell, frame.parameters))
        read.nothing_else()
        return self.used

    def _block(self, block: Block) -> None:
        read, top = self.read, self.read.top
        kind = self.graph.values[block.tensor].type
        data, valid, begin, room = self._head(block)
        for step in block.steps:
            if sweeps(step.node, block):
                continue
            node = step.node
            if isinstance(node.op, Concat):
                data = self._joined(block, node.output.type)
                continue
            one = read.instance(self.design.modules[node.name], valid_i=valid)
            read.connected(one, read.clocked)
            if isinstance(node.op, Add):
                for i, name in enumerate(block.reads):
                    read.connected(one, {f"data{i}_i": self.streams[name][0]})
            else:
                read.connected(one, {"data_i": data})
                wide = step.takes * self.graph.values[node.inputs[0]].type.width
                if len(data) != wide:
                    raise ProofError(f"{one.name}.data_i has {len(data)} bits, not {wide}")
            data, valid = one.ports["data_o"], one.ports["valid_o"]
            if len(data) != step.makes * node.output.type.width:
                raise ProofError(f"{one.name}.data_o has {len(data)} bits")
        rooms: set[Bit] = set()
        for name in block.feeds:
            fifo = read.instance(
                "bw_fifo", f"u_{name}_fifo", data_i=data, valid_i=valid, reserve_i=begin
            )
            read.connected(fifo, read.clocked)
            depth = self.made.fifos[name].depth
            if fifo.parameters != {"Width": block.lanes * kind.width, "Depth": depth}:
                raise ProofError(f"{fifo.name} is not {depth} places of {len(data)} bits")
            rooms |= set(fifo.ports["room_o"])
            self.streams[name] = (
                fifo.ports["data_o"], fifo.ports["valid_o"], fifo.ports["ready_i"]
            )  # fmt: skip
            self.used.append((fifo.cell, fifo.parameters))
        there = {self.streams[name][1][0] for name in block.reads}
        wanted = rooms | there if isinstance(block.head, Pass) else rooms
        if read.all_of(room[0]) != wanted:
            raise ProofError(f"{top.name}: block {block.name} begins on other terms than it should")

    def _head(self, block: Block) -> tuple[Bits, Bits, Bits, Bits]:
        """Data, valid, what says that a beat begins, and what says that it may."""
        read, head = self.read, block.head
        data, valid, ready = self.streams[block.reads[0]]
        if isinstance(head, Pass):
            takes = [self.streams[name][2] for name in block.reads]
            if len(set(takes)) != 1:
                raise ProofError(f"block {block.name} does not take its beats together")
            return data, ready, ready, ready
        width = len(data)
        match head:
            case Widen():
                cell, given = "bw_upsize", {"Width": width, "Ratio": head.ratio}
                width *= head.ratio
            case Narrow():
                width //= head.ratio
                cell, given = "bw_downsize", {"Width": width, "Ratio": head.ratio}
            case Repeat():
                cell = "bw_repeat"
                given = {"Width": width, "Words": head.words, "Copies": head.copies}
            case Sweep():
                first = block.steps[0]
                cell, given = self.design.modules[first.node.name], {}
                width = first.makes * first.node.output.type.width
            case Lines():
                seen = head.window
                rows, columns = seen.output(head.rows, head.columns)
                cell, given = "bw_lines", {
                    "Width": width, "Rows": head.rows, "Columns": head.columns,
                    "KernelRows": seen.kernel[0], "KernelColumns": seen.kernel[1],
                    "StrideRows": seen.stride[0], "StrideColumns": seen.stride[1],
                    "Top": seen.padding[0], "Left": seen.padding[1], "OutRows": rows,
                    "OutColumns": columns, "Overlap": 0,
                }  # fmt: skip
                width *= seen.taps
        one = read.instance(cell, data_i=data, valid_i=valid, ready_o=ready)
        read.connected(one, read.clocked)
        if isinstance(head, Sweep) and block.steps[0].node.name in self.loadable:
            ports = ("data", "valid", "last")
            read.connected(one, {f"load_{p}_i": read.top.inputs[f"s_load_t{p}"] for p in ports})
        if one.parameters != given:
            raise ProofError(f"{one.name} has other parameters than it should")
        if len(one.ports["data_o"]) != width:
            raise ProofError(f"{one.name}.data_o has {len(one.ports['data_o'])} bits")
        if given:
            self.used.append((cell, given))
        return (
            one.ports["data_o"], one.ports["valid_o"], one.ports["reserve_o"], one.ports["room_i"]
        )  # fmt: skip

    def _joined(self, block: Block, made: IntType) -> Bits:
        """The elements of all that a concatenation reads, in its own type."""
        bits: list[Bit] = []
        for name in block.reads:
            data = self.streams[name][0]
            source = self.graph.input if name == INPUT else self.graph.values[
                self.made.fifos[name].tensor]  # fmt: skip
            width = source.type.width
            for i in range(0, len(data), width):
                one = list(data[i : i + width])
                sign = one[-1] if source.type.signed else "0"
                bits += (one + [sign] * made.width)[: made.width]
        return tuple(bits)
