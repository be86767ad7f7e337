"""Dask: a real scheduler and workers on this machine; whoever is killed, nothing is lost or redone.

Everything listens on the loopback interface alone.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitwright.models.errors import InputError, ToolError
from bitwright.search.cluster import DaskExecutor
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import State, explore
from bitwright.search.study import read_study, row_file, write_row

NETWORKS = Path(__file__).parent / "networks"
sys.path.insert(0, str(NETWORKS))

from fake_study import EVALUATOR, space  # noqa: E402


class Farm:
    """A scheduler and two workers, as processes; each can be killed, and started again."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._environment, self._folder = environment, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("scheduler", "worker0", "worker1"):
            self.start(name)

    def start(self, name: str) -> None:
        told = ["--host", "127.0.0.1", "--no-dashboard"]
        if name == "scheduler":
            told += ["--port", str(self.port)]
        else:
            told = [self.address, *told, "--no-nanny", "--nthreads", "1"]
            told += ["--local-directory", str(self._folder), "--resources", "licence=1"]
        log = (self._folder / f"{name}.log").open("a")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "dask", name.rstrip("01"), *told],
            env=self._environment, stdout=log, stderr=log,
        )  # fmt: skip

    def answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def keep_workers(self) -> None:
        """Start those again that have ended, as a batch system does."""
        for name in ("worker0", "worker1"):
            if self.processes[name].poll() is not None:
                self.start(name)

    def close(self) -> None:
        for name in self.processes:
            self.kill(name)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def farm(log: Path, tmp_path: Path) -> Iterator[Farm]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(NETWORKS),
        "FAKE_LOG": str(log),
        "FAKE_SECONDS": "0.4",
    }
    made = Farm(tmp_path, environment)
    yield made
    made.close()


def noted(log: Path, what: str) -> Counter[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(what))


def until(condition: Callable[[], bool], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def study(folder: Path, executor: DaskExecutor, watch: Callable[[State], None]) -> int:
    """Run it; how many tasks were finished."""
    try:
        explore(space(), folder, executor, watch)
    finally:
        executor.close()
    with read_study(folder) as made:
        records = made.records(("start", "candidate", "final"))
    assert all(r.row is not None and "its worker" not in str(r.error) for r in records)
    return len(records)


def test_a_worker_is_killed_and_the_scheduler_restarted(
    farm: Farm, log: Path, tmp_path: Path
) -> None:
    done: list[str] = []

    def disturb(state: State) -> None:
        farm.keep_workers()
        working = noted(log, "begin") - noted(log, "end")
        if not done and len(state.rows) >= 3 and working:
            line = next(x for x in log.read_text().splitlines() if next(iter(working)) in x)
            os.kill(int(line.split()[2]), signal.SIGKILL)
            done.append("worker")
        elif done == ["worker"] and len(state.rows) >= 6:
            farm.kill("scheduler")
            farm.start("scheduler")
            done.append("scheduler")

    executor = DaskExecutor(farm.address, EVALUATOR, reconnect_s=400)
    finished = study(tmp_path / "study", executor, disturb)
    assert done == ["worker", "scheduler"]
    ends = noted(log, "end")
    assert len(ends) == finished and set(ends.values()) == {1}


def test_a_client_is_killed_and_another_goes_on(farm: Farm, log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    client = subprocess.Popen([sys.executable, NETWORKS / "fake_study.py", folder, farm.address])
    until(lambda: len(noted(log, "end")) >= 4)
    client.kill()
    client.wait()
    finished = study(folder, DaskExecutor(farm.address, EVALUATOR), lambda state: None)
    ends = noted(log, "end")
    assert len(ends) == finished and set(ends.values()) == {1}


def test_a_row_in_the_folder_counts_and_no_wait_is_for_ever(farm: Farm, tmp_path: Path) -> None:
    until(farm.answers)
    executor = DaskExecutor(farm.address, EVALUATOR, reconnect_s=1)
    for name in ("worker0", "worker1"):
        farm.kill(name)
    for key in ("told", "never"):
        executor.submit(key, {"key": key, "folder": str(tmp_path)}, {})
    write_row(row_file(tmp_path, "told"), {"accuracy": 0.5})  # and nobody says so
    found: list[object] = []
    until(lambda: bool(found.extend(executor.wait(0.1)) or found))
    assert found == [("told", {"accuracy": 0.5})]
    with pytest.raises(ToolError, match="has had no workers for 1 s: start some"):
        until(lambda: bool(executor.wait(0.1)))
    farm.kill("scheduler")
    with pytest.raises(ToolError, match="does not answer: start it"):
        until(lambda: bool(executor.wait(0.1)))
    executor.close()


def test_nobody_does_what_another_is_at(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS))
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("FAKE_SECONDS", "1")
    candidate = {"arguments": {}, "interval": 1}
    message = {"key": "k", "folder": str(tmp_path), "candidate": candidate, "kind": "start"}
    # Two farms of one worker each: they know nothing of one another.
    farms = [LocalExecutor(tmp_path / name, 1, EVALUATOR) for name in "ab"]
    rows = []
    for executor in farms:
        executor.submit("k", message, {})
    for executor in farms:
        found: list[tuple[str, dict[str, object]]] = []
        until(lambda e=executor, f=found: bool(f.extend(e.wait(1)) or f))  # type: ignore[misc]
        rows.append(found[0][1])
        executor.close()
    assert rows[0] == rows[1] and noted(log, "begin") == noted(log, "end") == {"k": 1}
    assert not list((tmp_path / "rows").glob("*.lock"))


def test_a_job_file_starts_workers(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS))
    monkeypatch.setenv("FAKE_LOG", str(log))
    file = tmp_path / "farm.yaml"
    file.write_text(
        "local:\n  cores: 1\n  processes: 1\n  memory: 1GB\n  interface: lo\n"
        f"  log_directory: {tmp_path}\n  local_directory: {tmp_path}\njobs: 1\n"
    )
    executor = DaskExecutor(str(file), EVALUATOR)
    candidate = {"arguments": {}, "interval": 1}
    message = {"key": "k", "folder": str(tmp_path), "candidate": candidate, "kind": "start"}
    executor.submit("k", message, {})
    found: list[object] = []
    until(lambda: bool(found.extend(executor.wait(1)) or found))
    executor.close()
    assert noted(log, "end") == {"k": 1}


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="does not answer"):
        DaskExecutor("tcp://127.0.0.1:9", EVALUATOR, reconnect_s=0)
    with pytest.raises(InputError, match="no address like tcp://host:8786"):
        DaskExecutor(str(tmp_path / "none.yaml"))
    file = tmp_path / "farm.yaml"
    for text, said in (
        ("slurm: {cores: 1}\nlsf: {}\n", "has to name one batch system"),
        ("- 1\n", "has to name one batch system"),
        ("local: {cores: 1}\njobs: none\n", "jobs a number from 1 on"),
        ("local: {colour: red}\n", "local cannot be used"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            DaskExecutor(str(file))
