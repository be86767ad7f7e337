"""The C simulations of several projects in one program: the headers are read once for all of them.

Each project's own files are included in a namespace of its own, which sees hls4ml's as well.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitwright.hls.project import Project
from bitwright.hls.simulation import check_weights, compile_project, run_one
from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import IntArray
from bitwright.models.graph.reference import check_batch

_CHOICE = "BITWRIGHT_HLS_CHOICE"
_GENERATED = "nnet_utils/nnet_code_gen.h"  # the one file of hls4ml's own that differs


def simulate_many(
    projects: Sequence[Project], x: Sequence[npt.ArrayLike], *, timeout_s: float = 600
) -> list[IntArray]:
    """The outputs of every project for its batch of inputs, as `simulate` answers one.

    Raises:
        InputError: no project, two of the same name, or inputs of a wrong shape, type or range.
        ToolError, StorageError: as `simulate`.
    """
    tops = [project.top for project in projects]
    if not projects or len(set(tops)) < len(tops):
        raise InputError(f"{len(projects)} projects: give one or more of different names")
    batches = [check_batch(one.input, batch) for one, batch in zip(projects, x, strict=True)]
    for project in projects:
        check_weights(project)
    try:
        with tempfile.TemporaryDirectory(prefix="bitwright-hls-") as name:
            folder = Path(name)
            (folder / "many.cpp").write_text(_source(projects))
            program = folder / "simulation"
            names = ["-O0", f'-DSOURCE="{folder / "many.cpp"}"']  # compiled twice as fast
            compile_project(projects[0].folder, names, program, timeout_s)
            made = []
            for i, (project, batch) in enumerate(zip(projects, batches, strict=True)):
                files = folder / f"x{i}", folder / f"y{i}"
                choice = {**os.environ, _CHOICE: str(i)}
                rows = run_one(program, project, batch, (), files, timeout_s, choice)
                made.append(rows.reshape(len(batch), *project.output.shape).astype(np.int64))
            return made
    except OSError as error:
        raise StorageError(
            f"cannot simulate in {tempfile.gettempdir()} ({error.strerror or error}): make room "
            "there, or set TMPDIR to another folder"
        ) from None


def _source(projects: Sequence[Project]) -> str:
    """C++ that includes every project and chooses one by an environment variable."""
    shared: dict[str, None] = {}
    for project in projects:
        text = (project.folder / "firmware" / "parameters.h").read_text()
        shared |= dict.fromkeys(re.findall(r'#include "(nnet_utils/\w+\.h)"', text))
    shared.pop(_GENERATED, None)
    standard = ["array", "cstddef", "cstdio", "cstdlib", "iostream", "tuple"]
    lines = [f"#include <{name}>" for name in standard]
    lines += [f'#include "{name}"' for name in ("ap_fixed.h", "ap_int.h", "hls_stream.h", *shared)]
    for i, project in enumerate(projects):
        firmware = project.folder / "firmware"
        own = [*firmware.glob("*.h"), *firmware.glob("weights/*.h"), firmware / _GENERATED]
        guards = [re.search(r"#ifndef (\w+_H_)", file.read_text()) for file in sorted(own)]
        lines += [
            "",
            *dict.fromkeys(f"#undef {guard[1]}" for guard in guards if guard),
            f"namespace project{i} {{",
            "namespace nnet { using namespace ::nnet; }",
            f'#include "{firmware / _GENERATED}"',
            f'#include "{firmware / project.top}.cpp"',
            "}",
        ]
    cases = [f"case {i}: run(project{i}::{one.top}, job); break;" for i, one in enumerate(projects)]
    choose = f'switch (atoi(getenv("{_CHOICE}"))) {{ {" ".join(cases)} }}'
    return "\n".join([*lines, "", f"#define RUN(job) {choose}", ""])
