"""The top of a streamed design: blocks between FIFOs, each a head and the nodes that follow it."""

from collections.abc import Collection

from typing_extensions import assert_never

from bitwright.models.graph import Add, Concat, Cycles, Graph, Value
from bitwright.models.graph.heads import Lines, Narrow, Pass, Repeat, Sweep, Widen
from bitwright.models.graph.streams import INPUT, OUTPUT, Block, Fifo, Step, Streams
from bitwright.rtl_tb.folded import sweeps
from bitwright.rtl_tb.heads import lines
from bitwright.rtl_tb.text import LINE, concatenation, instance, resized


def streamed_top(
    graph: Graph,
    made: Streams,
    cycles: Cycles,
    modules: dict[str, str],
    loadable: Collection[str] = (),
) -> str:
    """The source text of the top module.

    modules: the module of every node. loadable: the nodes whose weights are loaded at run time.
    """
    return _Top(graph, made, modules, loadable).text(cycles)


class _Top:
    def __init__(
        self, graph: Graph, made: Streams, modules: dict[str, str], loadable: Collection[str]
    ) -> None:
        self.graph, self.fifos, self.blocks = graph, made.fifos, made.blocks
        self.input_lanes, self.modules = made.input_lanes, modules
        self.loadable = loadable
        self.lines: list[str] = []

    def text(self, cycles: Cycles) -> str:
        source, output = self.graph.input, self.graph.output
        lanes = self.input_lanes, self.fifos[OUTPUT].lanes
        bits = lanes[0] * source.type.width, lanes[1] * output.type.width
        axis = [-(-n // 8) * 8 for n in bits]
        data = [f"[{n - 1}:0]" for n in axis]
        width = max(map(len, data))
        data_in, data_out, bit = data[0].rjust(width), data[1].rjust(width), " " * width
        self.lines = [
            f"// {self.graph.name}: AXI4-Stream of beats, element 0 lowest in the first.",
            f"// In: {source}, {_beats(source, lanes[0])}.",
            f"// Out: {output}, {_beats(output, lanes[1])}; tlast marks the last of them.",
            f"// Latency {cycles.latency} cycles, initiation interval {cycles.interval}.",
            f"module {self.graph.name} (",
            f"  input  logic {bit} clk_i,",
            f"  input  logic {bit} rst_ni,  // synchronous, active low",
            f"  input  logic {data_in} s_axis_tdata,",
            f"  input  logic {bit} s_axis_tvalid,",
            f"  output logic {bit} s_axis_tready,",
            f"  input  logic {bit} s_axis_tlast,  // not looked at: beats are counted",
            f"  output logic {data_out} m_axis_tdata,",
            f"  output logic {bit} m_axis_tvalid,",
            f"  input  logic {bit} m_axis_tready,",
            f"  output logic {bit} m_axis_tlast" + ("," if self.loadable else ""),
            *(self._load_ports(width) if self.loadable else ()),
            ");",
            f"  wire {_bus(bits[0])} {INPUT}_data = s_axis_tdata[{bits[0] - 1}:0];",
            f"  wire {INPUT}_valid = s_axis_tvalid;",
            f"  wire {INPUT}_ready;",
            f"  assign s_axis_tready = {INPUT}_ready;",
        ]
        if self.loadable:
            self.lines.append("  assign s_load_tready = 1'b1;")
        unused = ["s_axis_tlast"]
        if axis[0] > bits[0]:
            unused.append(f"s_axis_tdata[{axis[0] - 1}:{bits[0]}]")
        self.lines.append(f"  wire unused = &{concatenation(unused, 6)};")
        for fifo in self.fifos.values():
            self.lines += [
                f"  wire {_bus(self._bits(fifo))} {fifo.name}_data;",
                f"  wire {fifo.name}_valid, {fifo.name}_ready, {fifo.name}_room;",
            ]
        for block in self.blocks:
            self._block(block)
        made = f"{axis[1]}'({OUTPUT}_data)" if axis[1] > bits[1] else f"{OUTPUT}_data"
        self.lines += [
            "",
            f"  assign m_axis_tdata = {made};",
            f"  assign m_axis_tvalid = {OUTPUT}_valid;",
            f"  assign {OUTPUT}_ready = m_axis_tready;",
            f"  bw_frame #(.Beats({output.size // lanes[1]})) u_{OUTPUT}_frame (",
            "    .clk_i, .rst_ni, .beat_i(m_axis_tvalid & m_axis_tready), .last_o(m_axis_tlast)",
            "  );",
            "endmodule",
            "",
        ]
        return "\n".join(self.lines)

    def _load_ports(self, width: int) -> list[str]:
        """The stream of weights, which is never refused. To be used between tensors."""
        bit = " " * width
        return [
            f"  input  logic {'[31:0]'.rjust(width)} s_load_tdata,  // new weights, all of them",
            f"  input  logic {bit} s_load_tvalid,",
            f"  output logic {bit} s_load_tready,",
            f"  input  logic {bit} s_load_tlast  // the next beat is the first again",
        ]

    def _bits(self, fifo: Fifo) -> int:
        return fifo.lanes * self.graph.values[fifo.tensor].type.width

    def _read_bits(self, name: str) -> int:
        if name == INPUT:
            return self.input_lanes * self.graph.input.type.width
        return self._bits(self.fifos[name])

    def _block(self, block: Block) -> None:
        kind = self.graph.values[block.tensor].type
        what = ", ".join(f"{s.node.name} ({s.node.kind})" for s in block.steps) or block.name
        line = f"// ----- {what}: {block.lanes} x {kind} a beat "
        self.lines += ["", f"  {line}{'-' * max(96 - len(line), 0)}"]
        rooms = " & ".join(f"{name}_room" for name in block.feeds)
        self.lines += [f"  wire {block.name}__room = {rooms};", f"  wire {block.name}__begin;"]
        data, valid = self._head(block)
        for step in block.steps:
            if not sweeps(step.node, block):
                data, valid = self._step(block, step, data, valid)
        for name in block.feeds:
            fifo = self.fifos[name]
            self.lines += [
                f"  bw_fifo #(.Width({self._bits(fifo)}), .Depth({fifo.depth})) u_{name}_fifo (",
                "    .clk_i, .rst_ni,",
                *_ports(f".reserve_i({block.name}__begin)", f".room_o({name}_room)", ""),
                *_ports(f".data_i({data})", f".valid_i({valid})", ""),
                *_ports(
                    f".data_o({name}_data)", f".valid_o({name}_valid)", f".ready_i({name}_ready)"
                ),
                "  );",
            ]

    def _head(self, block: Block) -> tuple[str, str]:
        """What decides when a beat begins; returns the names of the data and valid it makes."""
        name, head, read = block.name, block.head, block.reads[0]
        bits = self._read_bits(read)
        loads: list[str] = []
        match head:
            case Pass():
                there = " & ".join(f"{one}_valid" for one in block.reads)
                self.lines.append(f"  assign {name}__begin = {there} & {name}__room;")
                self.lines += [f"  assign {one}_ready = {name}__begin;" for one in block.reads]
                return f"{read}_data", f"{name}__begin"
            case Widen():
                cell = instance(
                    "bw_upsize", {"Width": bits, "Ratio": head.ratio}, f"u_{name}__head"
                )
                bits *= head.ratio
            case Narrow():
                bits //= head.ratio
                cell = instance(
                    "bw_downsize", {"Width": bits, "Ratio": head.ratio}, f"u_{name}__head"
                )
            case Repeat():
                parameters = {"Width": bits, "Words": head.words, "Copies": head.copies}
                cell = instance("bw_repeat", parameters, f"u_{name}__head")
            case Lines():
                cell = lines(head, bits, f"u_{name}__head")
                bits *= head.window.taps
            case Sweep():
                first = block.steps[0]
                cell = f"  {self.modules[first.node.name]} u_{name} ("
                if first.node.name in self.loadable:
                    loads = [
                        "    .load_data_i(s_load_tdata), .load_valid_i(s_load_tvalid), "
                        ".load_last_i(s_load_tlast),"
                    ]
                bits = first.makes * first.node.output.type.width
            case _:
                assert_never(head)
        self.lines += [
            f"  wire [{bits - 1}:0] {name}__data;",
            f"  wire {name}__valid;",
            cell,
            "    .clk_i, .rst_ni,",
            *loads,
            *_ports(
                f".data_i({read}_data)", f".valid_i({read}_valid)", f".ready_o({read}_ready)", ""
            ),
            *_ports(f".room_i({name}__room)", f".reserve_o({name}__begin)", ""),
            *_ports(f".data_o({name}__data)", f".valid_o({name}__valid)"),
            "  );",
        ]
        return f"{name}__data", f"{name}__valid"

    def _step(self, block: Block, step: Step, data: str, valid: str) -> tuple[str, str]:
        """A node of fixed latency; returns the names of the data and valid that it makes."""
        node = step.node
        n, bits = node.name, step.makes * node.output.type.width
        self.lines.append(f"  wire [{bits - 1}:0] {n}_data;")
        if isinstance(node.op, Concat):
            parts = []
            for read in block.reads:
                fifo = self.fifos[read]
                kind = self.graph.values[fifo.tensor].type
                parts += [
                    resized(f"{read}_data", i, kind, node.output.type) for i in range(fifo.lanes)
                ]
            self.lines.append(f"  assign {n}_data = {concatenation(parts, 6)};")
            return f"{n}_data", valid
        self.lines += [f"  wire {n}_valid;", f"  {self.modules[n]} u_{n} (", "    .clk_i, .rst_ni,"]
        if isinstance(node.op, Add):
            reads = [f".data{i}_i({read}_data)" for i, read in enumerate(block.reads)]
            self.lines += _ports(*reads, f".valid_i({valid})", "")
        else:
            self.lines += _ports(f".data_i({data})", f".valid_i({valid})", "")
        self.lines += [f"    .data_o({n}_data), .valid_o({n}_valid)", "  );"]
        return f"{n}_data", f"{n}_valid"


def _ports(*ports: str) -> list[str]:
    """Connections on one line, or each on its own; an empty one at the end means more follow."""
    line = "    " + ", ".join(ports).rstrip()
    if len(line) <= LINE:
        return [line]
    lines = [f"    {port}," for port in ports if port]
    return lines if ports[-1] == "" else [*lines[:-1], lines[-1].rstrip(",")]


def _bus(bits: int) -> str:
    return f"[{bits - 1}:0]"


def _beats(value: Value, lanes: int) -> str:
    count = value.size // lanes
    return f"{count} beats of {lanes}" if count > 1 else "one beat"
