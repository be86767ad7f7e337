"""Measured rows as CSV files: sorted, and whole at any moment.

data/measured.csv has sample points, one row for each part of a point on each target;
data/networks.csv has whole networks, one row for each node; data/clocks.csv has clocks.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bitwright.cost_model.cost import Cost
from bitwright.models.errors import StorageError
from bitwright.models.files import replace_file
from bitwright.models.graph import TARGETS, Target

DATA = Path(str(resources.files("bitwright.cost_model") / "data"))
"""Where the rows lie that come with bitwright."""

POINTS = ("point", "target", "tool", "part", "lut", "ff", "carry", "dsp", "bram")
NETWORKS = ("network", "target", "tool", "node", "lut", "ff", "carry", "dsp", "bram")
CLOCKS = ("point", "target", "tool", "seed", "mhz")
"""The heading of each kind of file."""

_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """What a tool counted. part: of a point, the node or the streams; of a network, a node."""

    name: str
    target: Target
    tool: str
    part: str
    cost: Cost

    @property
    def key(self) -> tuple[str, Target, str]:
        """What is measured once."""
        return self.name, self.target, self.part

    def cells(self) -> tuple[object, ...]:
        """The row of the file."""
        return self.name, self.target, self.tool, self.part, *self.cost.as_dict().values()


@dataclass(frozen=True, slots=True)
class ClockRow:
    """The clock that a routed node reaches. mhz: to a tenth."""

    name: str
    target: Target
    tool: str
    seed: int
    mhz: float

    @property
    def key(self) -> tuple[str, Target, int]:
        """What is measured once."""
        return self.name, self.target, self.seed

    def cells(self) -> tuple[object, ...]:
        """The row of the file."""
        return self.name, self.target, self.tool, self.seed, f"{self.mhz:.1f}"


def read_rows(file: Path) -> list[Row]:
    """The rows of a file of points or networks; none where there is no file.

    Raises StorageError where a line is not one, with its number.
    """
    found = []
    for number, line in _lines(file, POINTS, NETWORKS):
        name, target, tool, part, *counts = line
        try:
            found.append(Row(name, _target(target), tool, part, Cost(*map(int, counts))))
        except ValueError as error:
            raise StorageError(f"{file}, line {number}: {error}") from None
    return found


def read_clocks(file: Path) -> list[ClockRow]:
    """The rows of a file of clocks; none where there is no file.

    Raises StorageError where a line is not one, with its number.
    """
    found = []
    for number, line in _lines(file, CLOCKS):
        name, target, tool, seed, mhz = line
        try:
            found.append(ClockRow(name, _target(target), tool, int(seed), float(mhz)))
        except ValueError as error:
            raise StorageError(f"{file}, line {number}: {error}") from None
    return found


def write_rows(file: Path, heading: Sequence[str], rows: Iterable[Row | ClockRow]) -> None:
    """Replace a file by all of its rows, sorted: equal rows make equal bytes.

    Raises StorageError where it cannot be written; what was there is then still there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(sorted((row.cells() for row in rows), key=lambda cells: list(map(str, cells))))
    replace_file(file, text.getvalue())


def _lines(file: Path, *headings: Sequence[str]) -> list[tuple[int, list[str]]]:
    if not file.is_file():
        return []
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise StorageError(f"{file} is larger than {_MAX_BYTES >> 20} MiB: not a file of rows")
        lines = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StorageError(f"cannot read the rows in {file}: {error}") from None
    if not lines or tuple(lines[0]) not in headings:
        wanted = " or ".join(",".join(heading) for heading in headings)
        raise StorageError(f"{file} does not begin with {wanted}")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(lines[0]):
            raise StorageError(
                f"{file}, line {number}: {len(line)} values, but {len(lines[0])} columns"
            )
    return list(enumerate(lines[1:], 2))


def _target(text: str) -> Target:
    for target in TARGETS:
        if text == target:
            return target
    raise ValueError(f"target {text!r} is not one of {', '.join(TARGETS)}")
