"""Campaigns: what a file of rows lacks is measured, once, whatever happens in between.

A script stands in for Yosys: it counts one table for every `assign` or `wire` in the sources.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bitwright import cli
from bitwright.characterise import Limits, measure, point_subjects
from bitwright.cost_model import Cost
from bitwright.cost_model.points import Point, u
from bitwright.cost_model.rows import (
    CLOCKS,
    POINTS,
    ClockRow,
    Row,
    read_clocks,
    read_rows,
    write_rows,
)
from bitwright.cost_model.sweep import points
from bitwright.models.errors import InputError, StorageError
from bitwright.models.graph import Folded, Unrolled

FEW = (
    Point("identity", (2,), u(2), Unrolled(1)),
    Point("dense", (4,), u(2), Unrolled(1), 2, bits=2),
    Point("lookup", (4,), u(2), Folded(2), made=u(3), even=True),
)


@pytest.fixture
def yosys(tmp_path: Path) -> Path:
    """Notes in `runs` what it was started for; waits as long as `delay` says."""
    program = tmp_path / "bin" / "yosys"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -V ]; then echo "Yosys 1.0 (fake)"; exit; fi\n'
        f"cat run.ys src/* | cksum >> {tmp_path}/runs\n"
        f"sleep $(cat {tmp_path}/delay 2>/dev/null || echo 0)\n"
        f"grep -q $(cat {tmp_path}/fails 2>/dev/null || echo nothing) run.ys && exit 1\n"
        "lut=LUT4; grep -q synth_ice40 run.ys && lut=SB_LUT4\n"
        "count=$(cat src/* | grep -cE 'assign|wire')\n"
        'echo "{\\"design\\": {\\"num_cells_by_type\\": {\\"$lut\\": $count}}}" > stat.json\n'
    )
    program.chmod(0o755)
    return program


def runs(tmp_path: Path) -> list[str]:
    file = tmp_path / "runs"
    return file.read_text().splitlines() if file.exists() else []


def limits(tmp_path: Path, yosys: Path, *targets: str, cache: str = "cache") -> Limits:
    return Limits(targets, 2, cache=tmp_path / cache, yosys=str(yosys))


def test_only_what_is_missing_is_measured(tmp_path: Path, yosys: Path) -> None:
    file = tmp_path / "rows.csv"
    told: list[tuple[int, int, str]] = []
    found = measure(
        point_subjects(FEW[:2]), file, POINTS, limits(tmp_path, yosys, "ecp5"),
        lambda done, total, last: told.append((done, total, last)),
    )  # fmt: skip
    assert (found.rows, found.known, found.left, found.failed) == (2, 0, 0, {})
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]
    assert len(runs(tmp_path)) == 2
    rows = read_rows(file)
    assert {(row.name, row.target, row.part, row.tool) for row in rows} == {
        (point.name, "ecp5", "node", "Yosys 1.0") for point in FEW[:2]
    }
    assert all(row.cost.lut > 0 for row in rows)
    before = file.read_bytes()
    again = measure(point_subjects(FEW[:2]), file, POINTS, limits(tmp_path, yosys, "ecp5"))
    assert again.rows == 0 and file.read_bytes() == before and len(runs(tmp_path)) == 2

    # a longer sweep, and one more family: what was there is not measured again
    more = measure(point_subjects(FEW), file, POINTS, limits(tmp_path, yosys, "ecp5", "ice40"))
    assert more.rows == 2 + 2 + 2  # the folded one has a part for what lies around it
    assert len(runs(tmp_path)) == 8
    kept = {row.key: row for row in read_rows(file)}
    assert all(kept[row.key] == row for row in rows) and len(kept) == 8
    assert {part for name, _, part in kept if name == FEW[2].name} == {"node", "streams"}


def test_the_file_does_not_depend_on_the_order(tmp_path: Path, yosys: Path) -> None:
    for name, chosen in (("a", FEW), ("b", FEW[::-1])):
        measure(point_subjects(chosen), tmp_path / f"{name}.csv", POINTS,
                limits(tmp_path, yosys, "ecp5", "ice40", cache=name))  # fmt: skip
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    # the rows' cache is by content: another file of the same points is written without any run
    count = len(runs(tmp_path))
    found = measure(point_subjects(FEW), tmp_path / "c.csv", POINTS,
                    limits(tmp_path, yosys, "ecp5", cache="a"))  # fmt: skip
    assert found.known == found.rows == 4 and len(runs(tmp_path)) == count


KILLED = """
import sys
from pathlib import Path
from bitwright.characterise import Limits, measure, point_subjects
from bitwright.cost_model.points import Point, u
from bitwright.cost_model.rows import POINTS
from bitwright.models.graph import Unrolled
folder = Path(sys.argv[1])
points = [Point("identity", (n,), u(2), Unrolled(1)) for n in range(1, 9)]
limits = Limits(("ecp5",), 1, cache=folder / "cache", yosys=str(folder / "bin" / "yosys"))
measure(point_subjects(points), folder / "rows.csv", POINTS, limits)
"""


def test_a_job_that_is_killed_goes_on(tmp_path: Path, yosys: Path) -> None:
    file = tmp_path / "rows.csv"
    (tmp_path / "delay").write_text("0.2")
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    job = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and len(read_rows(file)) < 3:
        assert job.poll() is None
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    kept = read_rows(file)
    assert 3 <= len(kept) < 8
    (tmp_path / "delay").write_text("0")
    # without the cache of syntheses, so that it is the rows that are gone on with
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    subprocess.run(command, check=True)
    rows = read_rows(file)
    assert len(rows) == 8 and all(row in rows for row in kept)
    # twice at most what ran when the job was killed, of which nothing was kept
    assert len(set(runs(tmp_path))) == 8 and len(runs(tmp_path)) <= 8 + 1
    assert not list(tmp_path.glob(".new-*"))


def test_one_job_at_a_time_writes_a_file(tmp_path: Path, yosys: Path) -> None:
    """A second one would write the rows that it knows over those of the first."""
    file, told = tmp_path / "rows.csv", []

    def second(done: int, total: int, last: str) -> None:
        with pytest.raises(InputError, match="another job is measuring into"):
            measure(point_subjects(FEW[1:2]), file, POINTS, limits(tmp_path, yosys, "ecp5"))
        told.append(done)

    measure(point_subjects(FEW[:1]), file, POINTS, limits(tmp_path, yosys, "ecp5"), second)
    assert told == [1] and len(read_rows(file)) == 1
    measure(point_subjects(FEW[:2]), file, POINTS, limits(tmp_path, yosys, "ecp5"))
    assert len(read_rows(file)) == 2


def test_what_fails_is_told_and_left_out(tmp_path: Path, yosys: Path) -> None:
    (tmp_path / "fails").write_text("synth_ice40")
    file = tmp_path / "rows.csv"
    found = measure(point_subjects(FEW[:1]), file, POINTS, limits(tmp_path, yosys, "ecp5", "ice40"))
    assert (found.rows, found.left) == (1, 1)
    assert [row.target for row in read_rows(file)] == ["ecp5"]
    ((what, why),) = found.failed.items()
    assert what == f"{FEW[0].name}, node, on ice40" and "exit code 1" in why


def test_nothing_is_begun_when_the_time_is_over(tmp_path: Path, yosys: Path) -> None:
    over = Limits(("ecp5",), 1, -1.0, tmp_path / "cache", str(yosys))
    found = measure(point_subjects(FEW[:2]), tmp_path / "rows.csv", POINTS, over)
    assert (found.rows, found.left) == (0, 2) and runs(tmp_path) == []


def test_rows_of_clocks_come_back(tmp_path: Path) -> None:
    file = tmp_path / "clocks.csv"
    rows = [ClockRow("b", "ecp5", "nextpnr", 1, 123.4), ClockRow("a", "gowin", "nextpnr", 2, 99.0)]
    write_rows(file, CLOCKS, rows)
    assert read_clocks(file) == rows[::-1] and read_clocks(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n", "does not begin with point,target"),
        ("{heading}\nx,ecp5,Yosys,node,1,2\n", "line 2: 6 values, but 9 columns"),
        ("{heading}\nx,virtex2,Yosys,node,1,2,3,4,5\n", "line 2: target 'virtex2' is not one of"),
        ("{heading}\nx,ecp5,Yosys,node,1,2,3,4,many\n", "line 2: invalid literal"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text.format(heading=",".join(POINTS)))
    with pytest.raises(StorageError, match=why):
        read_rows(file)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_rows(tmp_path / "file" / "rows.csv", POINTS, [Row("a", "ecp5", "t", "node", Cost())])


def test_unknown_targets(tmp_path: Path, yosys: Path) -> None:
    with pytest.raises(InputError, match="target 'ecp6' is not one of xc7"):
        measure([], tmp_path / "rows.csv", POINTS, limits(tmp_path, yosys, "ecp6"))


def test_the_command(tmp_path: Path) -> None:
    """One real row, and then none that is missing."""
    arguments = ["characterise", "--only", "identity_3u7_r3", "--target", "gowin", "--jobs", "1",
                 "--rows", str(tmp_path / "rows.csv"), "--json"]  # fmt: skip
    environment = {"BITWRIGHT_CACHE": str(tmp_path)}
    first = CliRunner().invoke(cli.app, arguments, env=environment)
    assert first.exit_code == 0 and '"measured": 1' in first.stdout
    (row,) = read_rows(tmp_path / "rows.csv")
    assert row.cost == Cost(lut=2, ff=3 * (3 * 7 + 2))
    second = CliRunner().invoke(cli.app, arguments, env=environment)
    assert '"measured": 0' in second.stdout and '"missing": 0' in second.stdout


def test_the_sweep() -> None:
    """Names say all parameters, every point is a design, and the ranges are those of networks."""
    found = points()
    assert found == points() and len({point.name for point in found}) == len(found) > 250
    dense = [point for point in found if point.op == "dense" and not point.folded]
    assert {point.bits for point in dense} == set(range(1, 9))
    assert {point.kind.width for point in dense} == set(range(1, 9))
    assert {point.weights for point in dense} == {"bell", "even", "tiled", "float", "book"}
    assert max(point.shape[0] for point in dense) > 150
    assert min(point.shape[0] for point in dense) < 8
    assert {point.engine for point in dense} == {Unrolled(n) for n in range(1, 7)}
    for point in found[::7]:
        graph = point.graph()
        point.plan("ecp5").check(graph)
        same = point.graph()
        assert [str(node.output) for node in graph.nodes] == [str(n.output) for n in same.nodes]
