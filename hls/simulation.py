"""An hls4ml project compiled with g++ and run: integers in, integers out, exact up to 64 bits.

The firmware is compiled as it stands in the project, together with `simulation.cpp`, whose vectors
are binary files of int64; hls4ml's own bridge passes doubles, one vector per call. The program runs
in a process of its own (HLS headers call abort) and its build folder is new each time.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitwright.hls.programs import find, run
from bitwright.hls.project import Project, load
from bitwright.models.errors import StorageError, ToolError, UnsupportedError
from bitwright.models.graph import IntArray, Value
from bitwright.models.graph.reference import check_batch

# Measured on 16-64-32-32-5: -O0 compiles no faster than -O1 (5 s, most of it reading headers) and
# runs 15 times slower; -O2 and hls4ml's own -O3 compile longer than they win back in 10^5 vectors.
_FLAGS = ("-std=c++17", "-O1", "-w", "-pthread")
_ELEMENTS_PER_PROCESS = 1_000_000  # of all tensors together
_TRACED_BITS = 53  # hls4ml's save_layer_output() knows nothing wider than a double


def simulate(
    project: Project | str | Path, x: npt.ArrayLike, *, timeout_s: float = 600
) -> IntArray:
    """The project's output for a batch of inputs.

    project: as `write` returned it, or its folder. x: integers, shape (batch, *input shape).
    Returns int64, shape (batch, *output shape). timeout_s: for the compiler, and for the run.
    Raises:
        InputError: a wrong shape, type or range.
        ToolError: no compiler, or one of the programs failed, crashed or took too long.
        StorageError: no project there, one whose weights disagree, or no room for the build.
    """
    known = _known(project)
    return _run(known, check_batch(known.input, x), (), timeout_s)[known.output.name]


def trace(
    project: Project | str | Path, x: npt.ArrayLike, *, timeout_s: float = 600
) -> dict[str, IntArray]:
    """Every tensor of the project for a batch of inputs, by its name in the graph, input first.

    As `simulate`, and UnsupportedError for a tensor wider than hls4ml can trace (53 bits).
    """
    known = _known(project)
    for tensor in known.tensors:
        if tensor.type.width > _TRACED_BITS:
            raise UnsupportedError(
                f"tensor {tensor} is wider than the {_TRACED_BITS} bits that hls4ml can trace: "
                "compare the outputs only"
            )
    batch = check_batch(known.input, x)
    return {known.input.name: batch, **_run(known, batch, known.tensors, timeout_s)}


def _known(project: Project | str | Path) -> Project:
    return project if isinstance(project, Project) else load(project)


def _run(
    project: Project, batch: IntArray, traced: tuple[Value, ...], timeout_s: float
) -> dict[str, IntArray]:
    """The traced tensors and the output, by name."""
    check_weights(project)
    try:
        with tempfile.TemporaryDirectory(prefix="bitwright-hls-") as name:
            program = _compile(project, Path(name), timeout_s)
            elements = len(batch) * sum(tensor.size for tensor in project.tensors)
            most = min(os.cpu_count() or 1, max(len(batch), 1))
            parts = max(1, min(most, elements // _ELEMENTS_PER_PROCESS))

            def one(i: int, rows: IntArray) -> IntArray:
                files = Path(name, f"x{i}"), Path(name, f"y{i}")
                return run_one(program, project, rows, traced, files, timeout_s)

            with ThreadPoolExecutor(parts) as pool:
                integers = list(pool.map(one, range(parts), np.array_split(batch, parts)))
    except OSError as error:
        raise StorageError(
            f"cannot simulate in {tempfile.gettempdir()} ({error.strerror or error}): make room "
            "there, or set TMPDIR to another folder"
        ) from None
    made = (*traced, project.output)
    columns = np.split(np.concatenate(integers), np.cumsum([v.size for v in made])[:-1], axis=1)
    return {
        value.name: column.reshape(len(batch), *value.shape)
        for value, column in zip(made, columns, strict=True)
    }


def _compile(project: Project, build: Path, timeout_s: float) -> Path:
    program = build / "simulation"
    names = [f"-DTOP={project.top}", f'-DSOURCE="firmware/{project.top}.cpp"']
    compile_project(project.folder, names, program, timeout_s)
    return program


def compile_project(folder: Path, names: Sequence[str], program: Path, timeout_s: float) -> None:
    """Compile `simulation.cpp` inside a project's folder. names: what it is compiled with."""
    compiler = find("g++", "install a C++ compiler (Debian and Ubuntu: apt install g++)")
    # One translation unit: the arbitrary-precision headers are most of the work and read once.
    command = [
        compiler,
        *_FLAGS,
        "-I.",
        "-Ifirmware",
        "-Ifirmware/ap_types",
        *names,
        '-DWEIGHTS_DIR="firmware/weights"',
        Path(__file__).with_suffix(".cpp"),
        "-o",
        program,
    ]
    run(command, what=f"g++ on {folder}", folder=folder, timeout_s=timeout_s)


def run_one(
    program: Path,
    project: Project,
    rows: IntArray,
    traced: tuple[Value, ...],
    files: tuple[Path, Path],
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> IntArray:
    """One process's share: shape (rows, elements of all traced tensors and of the output)."""
    source, result = files
    rows.astype("<i8").tofile(source)
    sizes = [project.input.size, project.output.size]
    named = [word for value in traced for word in (value.name, value.size)]
    what = f"the simulation of {project.folder}"
    command = [program, source, result, *sizes, *named]
    # It reads its weights from there.
    printed = run(
        command, what=what, folder=project.folder, timeout_s=timeout_s, environment=environment
    )
    if "Hls::stream" in printed:  # the headers only warn of it
        first = next(line for line in printed.splitlines() if "Hls::stream" in line)
        raise ToolError(f"{what} lost its place in a stream; the first that it printed:\n{first}")
    integers = np.fromfile(result, "<i8").astype(np.int64)
    width = sum(value.size for value in (*traced, project.output))
    if integers.size != len(rows) * width:
        raise ToolError(
            f"{what} answered {len(rows)} vectors with {integers.size} integers, not {width} each: "
            "write the project again"
        )
    return integers.reshape(len(rows), width)


def check_weights(project: Project) -> None:
    """Prove that what the simulation reads (.txt) is what a vendor's tool would build (.h)."""
    for text in sorted(project.folder.glob("firmware/weights/*.txt")):
        header = text.with_suffix(".h")
        if f"= {{{text.read_text()}}};" not in header.read_text():
            raise StorageError(f"{text} and {header} disagree: write the project again")
