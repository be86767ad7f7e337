"""Benches around a module of a design: what it does, against what the graph says.

Two kinds. A module of fixed latency is beside a line of registers into which the specification of
each beat goes, and has to agree with it in every cycle (`lockstep`). A module that decides itself
when it takes and gives beats is a queue of tensors: the solver chooses one of all that are taken,
and its beats have to come out whole, in order and as the specification says (`queue`).
"""

from dataclasses import dataclass
from importlib import resources

from bitwright.models.graph import Interval, Node, Value
from bitwright.rtl_tb.proof.specification import MODULE, specification

TOP = "fv_bench"


@dataclass(frozen=True, slots=True)
class Line:
    """A module of fixed latency.

    node: what it computes of a beat; with several steps, of a pixel, of which a beat is the next
    part. sources: what it reads. reach: what can be in their channels, or nothing for all that
    their types hold. streamed: inside a block, where nothing ever stands still.
    """

    module: str
    node: Node
    sources: tuple[Value, ...]
    reach: tuple[Interval, ...]
    stages: int
    streamed: bool
    steps: int = 1

    @property
    def history(self) -> int:
        """Cycles from any state that are all there is, where nothing waits or counts; else 0."""
        return self.stages + 3 if self.streamed and self.steps == 1 else 0


@dataclass(frozen=True, slots=True)
class Queue:
    """A module that takes tensors in beats, and gives tensors in beats.

    nodes: what it computes of the tensor `source`. counts: beats of a tensor that is taken and that
    is given. most: tensors that may be inside. patience: cycles that may pass without a beat taken
    or given, while there is something to do.
    head: the ports of a module that begins a block, which asks for room; else those of a whole
    design. framed: tlast marks the last beat of a tensor; else it is passed along.
    """

    module: str
    nodes: tuple[Node, ...]
    source: Value
    reach: Interval | None
    counts: tuple[int, int]
    most: int
    patience: int
    head: bool
    framed: bool = True


def harness(*names: str) -> dict[str, str]:
    """Files of rtl_tb/formal."""
    room = resources.files("bitwright.rtl_tb") / "formal"
    return {f"{name}.sv": (room / f"{name}.sv").read_text() for name in names}


def lockstep(line: Line, any_state: bool = False) -> dict[str, str]:
    """The texts of the bench of a module of fixed latency.

    any_state: there is no reset in the beginning, and nothing is said before what came in since has
    reached the end.
    """
    known = line.stages + 1
    begin = "  fv_reset u_reset (.clk_i, .rst_ni);\n  logic known;\n  assign known = 1'b1;\n"
    if any_state:
        begin = (
            f"  logic known;\n  logic [{known - 1}:0] known_q = '0;\n"
            f"  always_ff @(posedge clk_i) known_q <= {known}'({{known_q, 1'b1}});\n"
            f"  assign known = known_q[{known - 1}];\n"
        )
    bits = [value.bits // line.steps for value in line.sources]
    made = line.node.output.bits // line.steps
    ports = "".join(f"  input logic [{n - 1}:0] {_data(line, i)},\n" for i, n in enumerate(bits))
    data = ", ".join(f".{_data(line, i)}" for i in range(len(bits)))
    tensors = ", ".join(f"{{{line.steps}{{{_data(line, i)}}}}}" for i in reversed(range(len(bits))))
    if line.streamed:
        unit = (
            "  assign {ready, last} = {1'b1, last_q};\n"
            f"  {line.module} u_module (.clk_i, .rst_ni, {data}, .valid_i,\n"
            "    .data_o(data), .valid_o(valid));\n"
        )
    else:
        unit = (
            f"  {line.module} u_module (.clk_i, .rst_ni, {data}, .valid_i, .last_i,\n"
            "    .ready_o(ready), .data_o(data), .valid_o(valid), .last_o(last), .ready_i);\n"
        )
    enable = "1'b1" if line.streamed else "ready_i || (!valid && STAGES)"
    enable = enable.replace("STAGES", str(int(line.stages > 0)))
    assumed = "".join(
        _assumptions(reach, source, _data(line, i))
        for i, (reach, source) in enumerate(zip(line.reach, line.sources, strict=False))
    )
    text = f"""\
module {TOP} (
{ports}  input logic clk_i, rst_ni, valid_i, last_i, ready_i
);
{begin}  logic ready, valid, last, enable, valid_q, last_q;
  logic [{made - 1}:0] data, wanted, wanted_q;
  logic [{line.node.output.bits - 1}:0] tensor;
{unit}
  // What comes out: the specification of what went in, as many enabled cycles before.
  {MODULE} u_specification (.x_i({{{tensors}}}), .y_o(tensor));
{_step(line.steps, made)}  assign enable = {enable};
{_registers(line.stages, made)}
  always_comb begin
{assumed}    if (rst_ni && known) begin
      ready_if_it_moves: assert (ready == enable);
      valid_in_its_cycle: assert (valid == valid_q);
      if (valid) beat_is_right: assert ({{last, data}} == {{last_q, wanted_q}});
    end
  end
endmodule
"""
    return {
        f"{TOP}.sv": text,
        f"{MODULE}.sv": specification([line.node], line.sources),
        **harness("fv_reset"),
    }


def _data(line: Line, i: int) -> str:
    return f"data{i}_i" if len(line.sources) > 1 else "data_i"


def _step(steps: int, made: int) -> str:
    """Which part of a pixel is the beat that comes next."""
    if steps == 1:
        return "  assign wanted = tensor;\n"
    width = (steps - 1).bit_length()
    return f"""\
  logic [{width - 1}:0] step_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) step_q <= '0;
    else if (valid_i) step_q <= step_q == {steps - 1} ? '0 : step_q + {width}'d1;
  end
  assign wanted = tensor[step_q*{made}+:{made}];
"""


def _registers(stages: int, made: int) -> str:
    if stages == 0:
        return "  assign {valid_q, last_q, wanted_q} = {valid_i, last_i, wanted};\n"
    lines = [f"  logic [{made}:0] " + ", ".join(f"beat{i}_q" for i in range(stages)) + ";",
             f"  logic [{stages - 1}:0] valids_q;",
             "  always_ff @(posedge clk_i) begin",
             "    if (!rst_ni) valids_q <= '0;",
             f"    else if (enable) valids_q <= {stages}'({{valids_q, valid_i}});",
             "    if (enable) begin",
             "      beat0_q <= {last_i, wanted};"]  # fmt: skip
    lines += [f"      beat{i}_q <= beat{i - 1}_q;" for i in range(1, stages)]
    lines += ["    end", "  end", f"  assign {{last_q, wanted_q}} = beat{stages - 1}_q;",
              f"  assign valid_q = valids_q[{stages - 1}];", ""]  # fmt: skip
    return "\n".join(lines)


def queue(unit: Queue, pauses: bool) -> dict[str, str]:
    """The texts of the bench of a module that takes and gives tensors.

    pauses: on both sides, whenever the solver likes, and it chooses the tensor that is looked at.
    Else there are none, and it is the first tensor, and the next one behind that, and so on.
    """
    made = unit.nodes[-1].output
    taken, given = unit.source.bits // unit.counts[0], made.bits // unit.counts[1]
    index = max((unit.counts[1] - 1).bit_length(), 1)
    offered, willing, mark = ("valid_i", "ready_i", "mark_i") if pauses else ("1'b1",) * 3
    if unit.head:
        rules = "  assign give = valid;\n"
        ports = (
            ".data_i, .valid_i(offered), .ready_o(ready),\n"
            "    .room_i(willing), .reserve_o(reserve), .data_o(data), .valid_o(valid)"
        )
    else:
        padded = [-(-bits // 8) * 8 for bits in (taken, given)]
        rules = (
            "  assign give = valid && willing;\n"
            f"  fv_stream #(.Width({given + 1})) u_stream (\n"
            "    .clk_i, .rst_ni, .data_i({last, data}), .valid_i(valid), .ready_i(willing)\n"
            "  );\n"
        )
        ports = (
            f".s_axis_tdata({padded[0]}'(data_i)), .s_axis_tvalid(offered),\n"
            "    .s_axis_tready(ready), .s_axis_tlast(last_i), .m_axis_tdata(padded),\n"
            "    .m_axis_tvalid(valid), .m_axis_tready(willing), .m_axis_tlast(last)"
        )
        rules += f"  logic [{padded[1] - 1}:0] padded;\n  assign data = padded[{given - 1}:0];\n"
        if unit.framed:
            rules += (
                "  always_comb if (rst_ni && valid) "
                f"last_is_right: assert (last == (index == {unit.counts[1] - 1}));\n"
            )
    assumed = _assumptions(unit.reach, unit.source, "tensor") if unit.reach else ""
    beginning = "" if pauses else "  always_comb if (begun_q) assume (rst_ni);\n"
    text = f"""\
module {TOP} (
  input logic clk_i, rst_ni, valid_i, last_i, ready_i, mark_i,
  input logic [{taken - 1}:0] data_i
);
  fv_reset u_reset (.clk_i, .rst_ni);
  logic begun_q = 1'b0;
  always_ff @(posedge clk_i) begun_q <= 1'b1;
{beginning}  logic offered, ready, willing, reserve, valid, give, last, mine;
  logic [{index - 1}:0] index;
  logic [{taken - 1}:0] beat;
  logic [{given - 1}:0] data;
  logic [{unit.source.bits - 1}:0] tensor;
  logic [{made.bits - 1}:0] wanted;
  assign {{offered, willing}} = {{{offered}, {willing}}};
  {unit.module} u_module (
    .clk_i, .rst_ni, {ports}
  );
{rules}
  fv_frames #(
    .Width({taken}), .In({unit.counts[0]}), .Out({unit.counts[1]}), .Most({unit.most}),
    .Patience({unit.patience})
  ) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(offered), .take_i(offered && ready), .give_i(give),
    .willing_i(willing), .mark_i({mark}), .mine_o(mine), .index_o(index), .frame_o(tensor)
  );
  {MODULE} u_specification (.x_i(tensor), .y_o(wanted));
  always_comb begin
{assumed}    if (rst_ni && mine && valid) begin
      beat_is_right: assert (data == wanted[index*{given}+:{given}]);
    end
  end
endmodule
"""
    return {
        f"{TOP}.sv": text,
        f"{MODULE}.sv": specification(unit.nodes, [unit.source]),
        **harness("fv_reset", "fv_frames", "fv_stream"),
    }


def _assumptions(reach: Interval, value: Value, bus: str) -> str:
    """What the graph says of the elements on a bus, where its type could hold more."""
    kind, lines = value.type, []
    for i in range(value.size):
        low, high = (int(ends[i % value.channels]) for ends in (reach.low, reach.high))
        element = f"{bus}[{(i + 1) * kind.width - 1}:{i * kind.width}]"
        if kind.signed:
            element = f"$signed({element})"
        ends = []
        if low > kind.min:
            ends.append(f"{element} >= {_end(low, kind.width, kind.signed)}")
        if high < kind.max:
            ends.append(f"{element} <= {_end(high, kind.width, kind.signed)}")
        if ends:
            lines.append(f"    assume ({' && '.join(ends)});\n")
    return "".join(lines)


def _end(value: int, width: int, signed: bool) -> str:
    if not signed:
        return f"{width}'d{value}"
    return f"-{width + 1}'sd{-value}" if value < 0 else f"{width + 1}'sd{value}"
