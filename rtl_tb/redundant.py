"""Triple modular redundancy: the whole design three times, and a majority vote on what leaves it.

Every register, memory and handshake is in each of the three cores. They see the same inputs, so
they are in step, and the vote of any output bit is right while at most one core is wrong. A core
whose control was upset may stay out of step: it is then outvoted for ever, and the next upset in
another core is no longer covered. `fault_o` says in which cycles the cores disagree; a reset
(and for weights that were loaded, loading them again) brings all three together.
"""

import re

from bitwright.rtl_tb.text import wrapped

CORES = 3


def core_name(top: str) -> str:
    """The module that a redundant design has three times. No node's module is called like it."""
    return f"{top}__core"


def as_core(text: str, top: str) -> str:
    """The text of a top module as that of a core, which synthesis keeps apart from its copies.

    Without the attribute, equal cells with equal inputs are merged into one, which no vote helps.
    """
    head = f"module {top} ("
    before, found, rest = text.partition(head)
    assert found
    return f'{before}(* keep_hierarchy = "yes" *)\nmodule {core_name(top)} ({rest}'


def redundant_top(text: str, top: str) -> str:
    """The top module around three cores; it has the ports of `text`, the design that they are."""
    head, found, rest = text.partition(f"module {top} (\n")
    ports, closed, _ = rest.partition("\n);\n")
    assert found and closed
    outputs = [(m[2], m[1].strip()) for m in re.finditer(_OUTPUT, ports, re.MULTILINE)]
    inputs = [m[2] for m in re.finditer(_INPUT, ports, re.MULTILINE)]
    pad = " " * (ports.index("clk_i") - len("  input  logic "))
    lines = [
        f"{head}// Three copies and a vote on all that leaves them, so that one may be wrong.",
        f"module {top} (",
        f"{_with_comma(ports)}",
        f"  output logic {pad}fault_o  // the copies disagree: reset when it suits",
        ");",
    ]
    for name, bus in outputs:
        lines.append(f"  wire {bus + ' ' if bus else ''}{', '.join(_copies(name))};")
        lines.append(f"  wire {name}_differs;")
    connected = wrapped([f".{name}" for name in inputs], 4).strip("\n ")
    for i in range(CORES):
        made = ",\n    ".join(f".{name}({_copies(name)[i]})" for name, _ in outputs)
        lines += ["", f"  {core_name(top)} u_core{i} (", f"    {connected},", f"    {made}", "  );"]
    lines.append("")
    for name, bus in outputs:
        width = int(bus[1:].split(":")[0]) + 1 if bus else 1
        a, b, c = _copies(name)
        lines += [
            f"  bw_vote #(.Width({width})) u_{name} (",
            f"    .a_i({a}), .b_i({b}), .c_i({c}),",
            f"    .data_o({name}), .differs_o({name}_differs)",
            "  );",
        ]
    # What data are while they are not valid does not matter, and may well differ.
    always = [f"{name}_differs" for name, _ in outputs if name not in _WITH_VALID]
    valid = " | ".join(f"{name}_differs" for name in _WITH_VALID)
    lines += [
        f"  assign fault_o = {' | '.join(always)}",
        f"      | (m_axis_tvalid & ({valid}));",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


_INPUT = r"^  input  logic +(\[\d+:0\] +)?(\w+)"
_OUTPUT = r"^  output logic +(\[\d+:0\] +|)(\w+)"
_WITH_VALID = ("m_axis_tdata", "m_axis_tlast")


def _copies(name: str) -> list[str]:
    return [f"{name}{i}" for i in range(CORES)]


def _with_comma(ports: str) -> str:
    """The ports, with a comma after the last, in front of its comment."""
    lines = ports.split("\n")
    code, slashes, note = lines[-1].partition("  //")
    return "\n".join([*lines[:-1], f"{code},{slashes}{note}"])
