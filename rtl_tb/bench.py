"""The cocotb bench run on a design: the protocol, where bulk simulation is for the values."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy.typing as npt

from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.graph import IntArray, Value
from bitwright.models.graph.reference import check_batch
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.tools import run
from bitwright.rtl_tb.vectors import pack
from bitwright.rtl_tb.verilate import Model, verilate

BENCH = Path(__file__).with_name("cocotb_stream.py")
"""The bench itself: it can be copied, and used without bitwright."""

# In a process of its own: the runner has no time-out, and a simulator that crashes takes it along.
_RUNNER = """
import json, sys
from cocotb_tools.runner import get_runner
get_runner("verilator").test(**json.loads(sys.argv[1]))
"""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What cocotb found. passed, failed: names of tests. reasons: why each failed one did.

    latency, interval: cycles as measured; None where a failure came before.
    """

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    reasons: tuple[str, ...]
    latency: int | None
    interval: int | None
    vectors: int


def run_bench(
    design: Design,
    x: npt.ArrayLike,
    expected: npt.ArrayLike,
    folder: str | os.PathLike[str],
    *,
    seed: int = 1,
    waves: str | os.PathLike[str] | None = None,
    timeout_s: float = 1800.0,
) -> BenchResult:
    """Run every test of the bench; a test that fails is reported, not raised.

    x, expected: integers, shapes (batch, *input shape) and (batch, *output shape). folder: of the
    compiled model, which `bulk.build` shares and which is reused while it fits. waves: record all
    of it as this FST file.

    Raises:
        InputError: vectors of another shape or range, or none.
        ToolError: Verilator, the compiler or cocotb is missing or broke.
        StorageError: a file cannot be written.
    """
    vectors, wanted = check_batch(design.input, x), check_batch(design.output, expected)
    if len(vectors) == 0 or len(wanted) != len(vectors):
        raise InputError(
            f"{len(vectors)} vectors with {len(wanted)} expected outputs: give as many of each, "
            "and at least one"
        )
    model = verilate(design, folder, waves=waves is not None)
    try:
        with tempfile.TemporaryDirectory(prefix="bitwright-") as name:
            place = Path(name)
            shutil.copy(BENCH, place)
            write_vectors(place, design, vectors, wanted)
            output = _simulate(design, model, place, seed, waves, timeout_s)
            return _result(place, len(vectors), design.top, output)
    except OSError as error:
        raise StorageError(
            f"cannot write {error.filename or tempfile.gettempdir()} ({error.strerror}): make "
            "room, or choose a place that can be written"
        ) from None


def write_vectors(
    folder: Path,
    design: Design,
    x: IntArray,
    expected: IntArray,
    *,
    clock: str = "clk_i",
    reset: str = "rst_ni",
    idle: Sequence[str] = (),
) -> None:
    """Write what the bench reads: the beats of tensors as hex text, and facts about the design.

    x, expected: integers, shapes (batch, *input shape) and (batch, *output shape). clock, reset:
    names of ports. idle: input ports that are held at zero.
    """
    write_beats(folder / "stimulus.hex", x, design.input_beat, noise=True)
    write_beats(folder / "expected.hex", expected, design.output_beat)
    facts = {
        "clock": clock,
        "reset": reset,
        "idle": list(idle),
        "tensors": len(x),
        "latency": design.latency,
        "interval": design.interval,
        "framed": design.framed,
    }
    (folder / "bench.json").write_text(json.dumps(facts, indent=1) + "\n")


def write_beats(file: Path, tensors: IntArray, beat: Value, *, noise: bool = False) -> None:
    """Write tensors as hex text, a beat a line, under a line that says so.

    beat: what one beat carries, an equal part of a tensor. noise: as for `pack`.
    """
    beats = pack(tensors.reshape(-1, *beat.shape), beat, noise=noise)[:, ::-1]
    lines = [f"// {len(tensors)} tensors, beats of {beat}, element 0 in the lowest bits"]
    lines += [row.tobytes().hex() for row in beats]
    file.write_text("\n".join(lines) + "\n")


def _simulate(
    design: Design,
    model: Model,
    place: Path,
    seed: int,
    waves: str | os.PathLike[str] | None,
    timeout_s: float,
) -> str:
    arguments: dict[str, object] = {
        "test_module": BENCH.stem,
        "hdl_toplevel": design.top,
        "hdl_toplevel_lang": "verilog",
        "build_dir": str(model.cocotb.parent.absolute()),
        "test_dir": str(place),
        "results_xml": str(place / "results.xml"),
        "seed": seed,
        # Registers without a reset begin at random.
        "plusargs": ["+verilator+rand+reset+2", f"+verilator+seed+{seed % 0x7FFFFFFF + 1}"],
        "extra_env": {
            "BITWRIGHT_VECTORS": str(place),
            "BITWRIGHT_MEASURED": str(place / "measured.json"),
        },
    }
    if waves is not None:
        Path(waves).parent.mkdir(parents=True, exist_ok=True)
        arguments["waves"] = True
        arguments["test_args"] = ["--trace-file", str(Path(waves).absolute())]
    # The bench sees its own folder and the packages, but none of the caller's settings of cocotb
    # or of a pytest around it.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COCOTB_", "PYTEST_", "GPI_")) and name not in ("WAVES", "GUI")
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(place), *filter(None, sys.path)])
    return run(
        [sys.executable, "-c", _RUNNER, json.dumps(arguments)],
        timeout_s=timeout_s, cwd=place, environment=environment,
    )  # fmt: skip


def _result(place: Path, vectors: int, top: str, output: str) -> BenchResult:
    try:
        cases = list(ElementTree.parse(place / "results.xml").iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    if not cases:
        raise ToolError(f"cocotb ran no test on {top}, and ended with:\n{output[-1000:]}")
    passed, failed, reasons = [], [], []
    for case in cases:
        name = case.get("name", "")
        problem = case.find("failure") if case.find("error") is None else case.find("error")
        if problem is None:
            passed.append(name)
        else:
            failed.append(name)
            message = problem.get("message") or problem.get("error_msg") or problem.text or ""
            reasons.append(f"{name}: {message.strip().splitlines()[0] if message.strip() else '?'}")
    measured = {"latency": None, "interval": None}
    if (place / "measured.json").is_file():
        measured = json.loads((place / "measured.json").read_text())
    return BenchResult(tuple(passed), tuple(failed), tuple(reasons), measured["latency"],
                       measured["interval"], vectors)  # fmt: skip
