"""The cocotb bench: right designs pass with exact cycles, and every test of it can fail."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import pywellen

from bitwright.models.errors import InputError, ToolError
from bitwright.models.graph import (
    Builder,
    Conv2d,
    Folded,
    IntArray,
    IntType,
    Plain,
    Plan,
    Unrolled,
    Value,
    Window,
    evaluate,
)
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import Design, bench, bulk, emit, tools

ELASTIC = Path(__file__).with_name("designs") / "elastic.sv"

FULL, CYCLES, TLAST, WAITS = "full_rate", "latency_and_interval", "tlast", "valid_before_ready"
PAUSES = ["pauses/side=source", "pauses/side=sink", "pauses/side=both"]
RESET = ["reset_inside_a_packet/stalled=False", "reset_inside_a_packet/stalled=True"]
ALL = {FULL, CYCLES, *PAUSES, TLAST, WAITS, *RESET}

# Where the elastic pipeline is broken, with what, the tests that must fail (and no other), and why.
WRONG: dict[str, tuple[str, str, set[str], str]] = {
    "flipped bit": ("{3'b000, y2_q}", "{3'b000, y2_q ^ 21'h80}", ALL - {CYCLES}, "result 0 is"),
    "dropped beat": (
        "s_axis_tvalid && s", "s_axis_tvalid && ~&s_axis_tdata[7:0] && s", ALL, "design stopped"),
    "late tlast": ("tlast = last_q[2]", "tlast = late_q", ALL - {CYCLES}, "m_axis_tlast is"),
    "data changes": (
        "y2_q};", "y2_q ^ {21{!m_axis_tready}}};",
        {*PAUSES[1:], WAITS}, "m_axis_tdata changed while stalled"),
    "valid drops": (
        "tvalid = valid_q[2]", "tvalid = valid_q[2] && !stalled_q",
        {*PAUSES[1:], WAITS, RESET[1]}, "m_axis_tvalid dropped before the handshake"),
    "waits for ready": (
        "tvalid = valid_q[2]", "tvalid = valid_q[2] && m_axis_tready",
        {WAITS}, "m_axis_tvalid waits for m_axis_tready"),
    "survives reset": (
        "if (!rst_ni) valid_q <= '0;", "if (!rst_ni) valid_q[2] <= '0;",
        set(RESET), "stale beats came out after the reset"),
    "half rate": (
        "tready = move[0]", "tready = move[0] && toggle_q",
        {CYCLES}, "interval [2] cycles instead of 1"),
    "endless": ("<= valid_q[1];", "<= 1'b1;", ALL, "beats came out"),
}  # fmt: skip


def elastic(folder: Path, old: str = "", new: str = "", latency: int = 3) -> Design:
    """The hand-written pipeline, with one thing replaced."""
    text = ELASTIC.read_text()
    assert old in text
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "elastic.sv"
    file.write_text(text.replace(old, new) if old else text)
    x, y = Value("x", (5,), IntType(4, True)), Value("y", (3,), IntType(7, True))
    return Design(folder, "elastic", (file,), {}, x, y, latency, 1)


def some_vectors(count: int = 300) -> tuple[IntArray, IntArray]:
    x = np.random.default_rng(1).integers(-8, 8, (count, 5))
    x[0, :2] = -1  # dropped by "dropped beat", in every test
    x[-1, :2] = -1
    return x, 3 * x[:, :3] - x[:, 2:]


def test_right_design_and_its_waves(tmp_path: Path) -> None:
    x, expected = some_vectors()
    design = elastic(tmp_path / "rtl")
    waves = tmp_path / "new folder" / "waves.fst"
    done = bench.run_bench(design, x, expected, tmp_path / "sim", waves=waves)
    assert (set(done.passed), done.failed, done.reasons) == (ALL, (), ())
    assert (done.latency, done.interval, done.vectors) == (3, 1, 300)
    wave = pywellen.Waveform(str(waves))
    valid, clock = wave["elastic.m_axis_tvalid"].signal, wave["elastic.clk_i"].signal
    assert {int(valid.value_at(at)) for at in range(0, 5000, 5)} == {0, 1}
    assert [int(clock.value_at(at)) for at in range(1001, 1041, 5)] == [1, 0] * 4
    # The bench and the bulk harness share the model.
    made = (tmp_path / "sim" / "bulk").stat().st_ino
    simulator = bulk.build(design, tmp_path / "sim", waves=True)
    assert simulator.verify(x, expected).passed and simulator.model.bulk.stat().st_ino == made


@pytest.mark.parametrize("name", WRONG)
def test_wrong_design_is_caught(tmp_path: Path, name: str) -> None:
    old, new, failing, reason = WRONG[name]
    design = elastic(tmp_path / "rtl", old, new)
    done = bench.run_bench(design, *some_vectors(), tmp_path / "sim")
    assert set(done.failed) == failing and set(done.passed) == ALL - failing
    assert any(reason in one for one in done.reasons), done.reasons
    assert len(done.reasons) == len(done.failed)


def test_wrong_prediction_is_caught(tmp_path: Path) -> None:
    design = elastic(tmp_path / "rtl", latency=4)
    done = bench.run_bench(design, *some_vectors(20), tmp_path / "sim")
    assert done.failed == (CYCLES,) and (done.latency, done.interval) == (3, 1)
    assert done.reasons == (f"{CYCLES}: latency [3] cycles instead of 4",)


def test_single_vector(tmp_path: Path) -> None:
    design = elastic(tmp_path / "rtl")
    done = bench.run_bench(design, [[1, 2, 3, 4, 5]], [[0, 2, 4]], tmp_path / "sim")
    assert done.failed == () and (done.latency, done.interval) == (3, None)


def test_emitted_design_with_wide_ports(tmp_path: Path) -> None:
    graph = random_mlp((40, 11, 9), (5, 3), (6, 4))
    plan = Plan({node.name: Unrolled(2) for node in graph.nodes})
    design = emit(graph, plan, tmp_path / "rtl")
    kind = graph.input.type
    x = np.random.default_rng(2).integers(kind.min, kind.max + 1, (500, 40))
    done = bench.run_bench(design, x, evaluate(graph, x), tmp_path / "sim", seed=7)
    assert (set(done.passed), done.reasons) == (ALL, ())
    assert (done.latency, done.interval) == (2 * len(graph.nodes), 1)


def test_bad_input_and_broken_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = some_vectors(10)
    design = elastic(tmp_path / "rtl")
    with pytest.raises(InputError, match="10 vectors with 9 expected"):
        bench.run_bench(design, x, expected[:9], tmp_path / "sim")
    with pytest.raises(InputError, match="0 vectors"):
        bench.run_bench(design, x[:0], expected[:0], tmp_path / "sim")
    with pytest.raises(ToolError, match=r"was stopped after 0\.05 s"):
        bench.run_bench(design, x, expected, tmp_path / "sim", timeout_s=0.05)
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name\n")
    monkeypatch.setattr(bench, "BENCH", broken)
    with pytest.raises(ToolError, match="nothing_of_that_name"):
        bench.run_bench(design, x, expected, tmp_path / "sim")


def test_bench_stands_alone(tmp_path: Path) -> None:
    """Copied beside its vectors, it runs through cocotb's own runner, without bitwright."""
    x, expected = some_vectors(50)
    design = elastic(tmp_path / "rtl")
    model = bulk.build(design, tmp_path / "sim").model
    place = tmp_path / "ip"
    place.mkdir()
    shutil.copy(bench.BENCH, place)
    bench.write_vectors(place, design, x, expected)
    script = (
        "import sys\nsys.modules['bitwright'] = sys.modules['numpy'] = None\n"
        "from cocotb_tools.runner import get_runner\n"
        f"get_runner('verilator').test(test_module='{bench.BENCH.stem}', hdl_toplevel='elastic', "
        f"build_dir='{model.cocotb.parent}', test_dir='.', hdl_toplevel_lang='verilog', "
        "extra_env={'BITWRIGHT_VECTORS': '.'})\n"
    )
    printed = tools.run([sys.executable, "-c", script], timeout_s=120, cwd=place)
    assert "TESTS=9 PASS=9 FAIL=0" in printed
    assert "import bitwright" not in bench.BENCH.read_text()
    assert "from bitwright" not in bench.BENCH.read_text()


def test_streamed_design_passes_every_test(tmp_path: Path) -> None:
    """Tensors of several beats, whose ends the design marks itself."""
    dice = np.random.default_rng(0)
    b = Builder("streamed")
    x = b.input("x", (4, 4, 2), IntType(3, signed=True))
    conv = Conv2d(Plain(dice.integers(-4, 4, (18, 4)), 3), np.arange(4), Window((3, 3)))
    graph = b.graph(b.add("conv", conv, x))
    design = emit(graph, Plan({"conv": Folded(2, 2)}), tmp_path / "rtl")
    assert (design.input_beats, design.output_beats, design.framed) == (16, 8, True)
    batch = dice.integers(-4, 4, (30, *graph.input.shape))
    expected = evaluate(graph, batch)
    done = bench.run_bench(design, batch, expected, tmp_path / "sim", seed=5)
    assert set(done.passed) == ALL and done.reasons == ()
    assert (done.latency, done.interval) == (design.latency, design.interval)
    wrong = bench.run_bench(design, batch, np.roll(expected, 1, axis=0), tmp_path / "sim", seed=5)
    assert "full_rate" in wrong.failed
