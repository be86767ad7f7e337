"""Faults: kills, a full disk, and tools that crash, hang or print rubbish."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright import hls
from bitwright.hls.many import simulate_many
from bitwright.models.errors import StorageError, ToolError
from bitwright.models.graph import load, save, storage
from bitwright.rtl_tb import build, emit
from trust.jobs import JOBS, Job
from trust.kills import kill_once
from trust.networks import network

ONE = network(7, 3)
contents = JOBS["emit"].contents


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed job."""
    out = tmp_path_factory.mktemp("job") / "out"
    JOBS["emit"].do(out, lambda part: None)
    return out


@pytest.mark.parametrize("number", [1, 4])
def test_a_killed_job_loses_nothing(done: Path, tmp_path: Path, number: int) -> None:
    wanted = contents(done)
    assert len(wanted) == 6
    _, wrong = kill_once("emit", number, 6.0, wanted, tmp_path)
    assert wrong == ""


def test_killed_measurements_lose_nothing(tmp_path: Path) -> None:
    job = JOBS["characterise"]
    noted: list[str] = []
    job.do(tmp_path / "calm", noted.append)
    wanted = job.contents(tmp_path / "calm")
    assert sorted(noted) == sorted(wanted) and len(wanted) == 24
    _, wrong = kill_once("characterise", 0, 8.0, wanted, tmp_path)
    assert wrong == ""


def test_a_row_that_is_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a job that notes what is not in its file."""
    job = Job(lambda out, note: None, lambda out: {})
    monkeypatch.setitem(JOBS, "characterise", job)
    _, wrong = kill_once("characterise", 0, 1e6, {}, tmp_path)  # it ends long before
    assert "identity_12u2_r1/ice40/node" in wrong and wrong.endswith("is gone")


def test_what_was_cut_short_is_not_read_as_whole(done: Path, tmp_path: Path) -> None:
    """The negative control: `contents` notices a file that lost its end."""
    shutil.copytree(done / "graph", tmp_path / "graph")
    file = tmp_path / "graph" / "weights.npz"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(StorageError, match="graph"):
        contents(tmp_path)


def test_a_folder_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(ONE.graph, tmp_path / "graph")
    if not storage._exchanged(tmp_path / "graph", tmp_path / "graph"):
        pytest.skip("this file system cannot exchange folders")
    monkeypatch.setattr(Path, "rename", None)  # neither old nor new is ever moved away
    save(network(7, 4).graph, tmp_path / "graph")
    assert load(tmp_path / "graph").name == "n4"
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_folders_are_replaced_where_they_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_exchanged", lambda one, other: False)
    save(ONE.graph, tmp_path / "graph")
    save(network(7, 4).graph, tmp_path / "graph")
    assert load(tmp_path / "graph").name == "n4"
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


FULL = """
import resource, signal, sys
from pathlib import Path
from bitwright.models.errors import StorageError
from bitwright import hls
from bitwright.models.graph import save
from bitwright.rtl_tb import emit
from trust.networks import network
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
other, out = network(7, 4), Path(sys.argv[1])
for write in (
    lambda: save(other.graph, out / "graph"),
    lambda: emit(other.graph, other.plan, out / "rtl"),
    lambda: hls.write(other.graph, out / "hls"),
):
    try:
        write()
    except StorageError as error:
        assert "room" in str(error), error
    else:
        raise SystemExit("a full disk was not noticed")
"""


def test_a_full_disk_leaves_what_was_there(done: Path, root: Path) -> None:
    before = contents(done)
    run = subprocess.run([sys.executable, "-c", FULL, str(done)], cwd=root, capture_output=True,
                         text=True)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert contents(done) == before
    left = [path.name for path in done.iterdir() if path.name.startswith(".")]
    assert not left


def fake(folder: Path, script: str) -> Path:
    """A compiler that answers --version and does something else otherwise."""
    program = folder / "g++"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo fake 1.0; exit 0; }}\n{script}\n'
    )
    program.chmod(0o755)
    return program


BROKEN = {
    "crashes": ("echo last words; kill -SEGV $$", "signal 11.*last words"),
    "fails": ("echo last words >&2; exit 3", "exit code 3.*last words"),
    "hangs": ("echo last words; sleep 60", "last words"),
    "prints rubbish": ("head -c 100000 /dev/urandom; exit 1", "exit code 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_compiler_is_told_with_its_last_lines(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, message = BROKEN[name]
    project = hls.write(ONE.graph, tmp_path / "hls")
    fake(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    x = np.zeros((2, *ONE.graph.input.shape), int)
    for simulate in (
        lambda: hls.simulate(project, x, timeout_s=2),
        lambda: simulate_many([project], [x], timeout_s=2),
    ):
        with pytest.raises(ToolError, match=f"(?s){message}"):
            simulate()


@pytest.mark.parametrize("name", ["crashes", "fails", "prints rubbish"])
def test_a_broken_verilator_is_told_and_nothing_is_left(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, message = BROKEN[name]
    design = emit(ONE.graph, ONE.plan, tmp_path / "rtl")
    build(design, tmp_path / "whole")  # the machine's own part is compiled
    program = fake(tmp_path, script)
    monkeypatch.setattr(
        "bitwright.rtl_tb.verilate.verilator_environment", lambda: (str(program), dict(os.environ))
    )
    with pytest.raises(ToolError, match=f"(?s){message}"):
        build(design, tmp_path / "sim")
    assert not (tmp_path / "sim").exists()


def test_a_tool_that_does_nothing_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends well and writes no file: the compiler behind it has nothing to compile."""
    design = emit(ONE.graph, ONE.plan, tmp_path / "rtl")
    program = fake(tmp_path, "exit 0")
    monkeypatch.setattr(
        "bitwright.rtl_tb.verilate.verilator_environment", lambda: (str(program), dict(os.environ))
    )
    with pytest.raises(ToolError, match="Vdesign"):
        build(design, tmp_path / "sim")
    assert not (tmp_path / "sim").exists()
