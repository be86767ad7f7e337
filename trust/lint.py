"""What Verilator warns of in a cell, for the parameters with which it is used.

The test suite has every emitted design without a warning, so a mutant with a new one is noticed.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bitwright.rtl_tb import tools
from trust.bench import CELLS
from trust.equivalence import Parameters, around, parts_of

_SETS = 6  # of parameters
_TIMEOUT_S = 600
_LINE = re.compile(r"%(?:Warning|Error)\S*: \S+?(\w+\.sv:\d+):\d+: (.*)")


def warnings(cell: str, text: str, sets: Sequence[Parameters]) -> set[tuple[str, str]]:
    """What Verilator says of a cell of this text: places and sentences."""
    with tempfile.TemporaryDirectory(prefix="bitwright-lint-") as name:
        folder = Path(name)
        (folder / f"{cell}.sv").write_text(text)
        (folder / "around.sv").write_text(
            "".join(around(cell, one, f"around{i}") for i, one in enumerate(sets[:_SETS]))
        )
        parts = [CELLS / f"{part}.sv" for part in sorted(parts_of(cell) - {cell})]
        return said_of([folder / "around.sv", folder / f"{cell}.sv", *parts])


def said_of(files: Sequence[Path]) -> set[tuple[str, str]]:
    """What Verilator says of some files: places and sentences."""
    program, environment = tools.verilator_environment()
    done = subprocess.run(
        [program, "--lint-only", "-Wall", "-Wno-DECLFILENAME", "-Wno-MULTITOP", *files],
        timeout=_TIMEOUT_S, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    text = done.stdout + done.stderr
    return {(found[1], re.sub(r"\d+", "N", found[2])) for found in _LINE.finditer(text)}
