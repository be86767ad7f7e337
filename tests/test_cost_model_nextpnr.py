"""Routed clocks: the harness around a module, the report, and a real run where the wheel is."""

import importlib.util
from pathlib import Path

import pytest

from bitwright.cost_model.nextpnr import ROUTERS, harness, route, slowest
from bitwright.models.errors import InputError, ToolError

ADD = """
module add (
  input  logic              clk_i,
  input  logic        [7:0] a_i,  // input logic [9:0] not_a_port
  input  logic signed [6:0] b_i,
  output logic              valid_o,
  output logic        [8:0] y_o
);
  always_ff @(posedge clk_i) y_o <= 9'(a_i) + 9'(b_i);
  assign valid_o = a_i[0];
endmodule
"""


def test_every_port_is_between_registers() -> None:
    text = harness("add", ADD)
    assert "logic [14:0] head_q;" in text and "wire  [9:0] made;" in text
    for port in (".clk_i", ".a_i(head_q[7:0])", ".b_i(head_q[14:8])", ".valid_o(made[0:0])",
                 ".y_o(made[9:1])"):  # fmt: skip
        assert port in text, port
    assert "not_a_port" not in text


def test_a_module_without_a_clock_has_no_path() -> None:
    with pytest.raises(InputError, match="module wires has no clock called clk_i"):
        harness("wires", "module wires (input logic a_i, output logic y_o);\nendmodule\n")
    with pytest.raises(InputError, match="module other has no clock"):
        harness("other", ADD)


def step(kind: str, delay: float, start: str, end: str) -> dict[str, object]:
    return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}


def test_the_slowest_path_is_the_one_between_registers() -> None:
    register = "dut.x_1_TRELLIS_FF_Q_3"
    inner = [step("clk-to-q", 0.5, register, register),
             step("routing", 1.5, register, "dut.lut"), step("logic", 0.25, "dut.lut", "dut.lut"),
             step("routing", 2.0, "dut.lut", "dut.y_TRELLIS_FF_Q"),
             step("setup", 0.75, "dut.y_TRELLIS_FF_Q", "dut.y_TRELLIS_FF_Q")]  # fmt: skip
    outer = [step("routing", 99.0, "pin", "dut.y_TRELLIS_FF_Q")]
    clock = "posedge clk"
    report = {
        "fmax": {"clk": {"achieved": 200.0, "constraint": 300}},
        "critical_paths": [
            {"from": "<async>", "to": clock, "path": outer},
            {"from": clock, "to": clock, "path": inner},
        ],
    }
    found = slowest(report, "m")
    assert found == {"mhz": 200.0, "source": "x_1", "sink": "y", "logic_ns": 1.5, "wires_ns": 3.5}
    for broken in ({**report, "fmax": {}}, {**report, "critical_paths": []}, {}):
        with pytest.raises(ToolError, match="no path between registers"):
            slowest(broken, "m")


def test_families_that_are_not_routed(tmp_path: Path) -> None:
    (tmp_path / "add.sv").write_text(ADD)
    with pytest.raises(InputError, match="xc7 is not routed: give one of ecp5, gowin"):
        route([tmp_path / "add.sv"], {"a": "add"}, "xc7", cache=tmp_path / "cache")


def test_a_wheel_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "add.sv").write_text(ADD)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "nextpnr" in name else found(name)
    )
    with pytest.raises(ToolError, match=r"not installed: pip install 'bitwright\[route\]'"):
        route([tmp_path / "add.sv"], {"a": "add"}, "ecp5", cache=tmp_path / "cache")


needs_router = pytest.mark.skipif(
    importlib.util.find_spec(ROUTERS["ecp5"].module) is None,
    reason="the extra bitwright[route] is not installed",
)


@needs_router
def test_a_longer_path_is_slower(tmp_path: Path) -> None:
    """Eight additions in a row against one, on a real ECP5."""
    chain = " + ".join(f"(17'(a_i) >> {i})" for i in range(9))
    for name, sum_ in (("one", "17'(a_i) + 17'(b_i)"), ("many", chain)):
        (tmp_path / f"{name}.sv").write_text(
            f"module {name} (\n  input logic clk_i,\n  input logic [15:0] a_i,\n"
            "  input logic [15:0] b_i,\n  output logic [16:0] y_o\n);\n"
            f"  always_ff @(posedge clk_i) y_o <= {sum_};\nendmodule\n"
        )
    files = [tmp_path / "one.sv", tmp_path / "many.sv"]
    tops = {"one": "one", "many": "many"}
    seen: list[tuple[str, bool]] = []
    found = route(files, tops, "ecp5", jobs=1, cache=tmp_path / "cache",
                  progress=lambda node, known: seen.append((node, known)))  # fmt: skip
    assert list(found) == ["one", "many"] and found["many"].mhz < 0.7 * found["one"].mhz
    for one in found.values():
        assert 1e3 / one.mhz == pytest.approx(one.logic_ns + one.wires_ns, rel=0.01)
    again = route(files, tops, "ecp5", jobs=1, cache=tmp_path / "cache",
                  progress=lambda node, known: seen.append((node, known)))  # fmt: skip
    assert again == found and seen[2:] == [("one", True), ("many", True)]
