"""Studies: whatever is killed, no finished evaluation is lost or done twice; equal proposals."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bitwright.models.errors import InputError, StorageError
from bitwright.search.candidate import Candidate, Task
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import State, explore
from bitwright.search.study import open_study, read_study, row_file, write_row

NETWORKS = Path(__file__).parent / "networks"
sys.path.insert(0, str(NETWORKS))

from fake_study import EVALUATOR, space  # noqa: E402


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fake evaluator notes; workers find it by PYTHONPATH."""
    monkeypatch.setenv("PYTHONPATH", str(NETWORKS))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_SECONDS", "0.03")
    return tmp_path / "log"


def noted(log: Path, what: str) -> Counter[str]:
    """How often each task began or ended."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(what))


def run(
    folder: Path,
    workers: int = 2,
    watch: Callable[[State], None] = lambda state: None,
    trials: int = 12,
    **executor: object,
) -> list[tuple[str, Candidate]]:
    """A study; the kinds and candidates of its finished tasks, in an order of its own."""
    local = LocalExecutor(folder, workers, EVALUATOR, **executor)  # type: ignore[arg-type]
    try:
        explore(space(trials), folder, local, watch)
    finally:
        local.close()
    with read_study(folder) as study:
        records = study.records(("start", "candidate", "final"))
    assert all(record.row is not None for record in records)
    return sorted(((r.task.kind, r.task.candidate) for r in records), key=str)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_equal_proposals_whatever_the_workers(log: Path, tmp_path: Path) -> None:
    alone = run(tmp_path / "one", workers=1)
    assert run(tmp_path / "three", workers=3) == alone
    kinds = Counter(kind for kind, _ in alone)
    assert kinds["start"] == 1 and kinds["final"] == 2 and kinds["candidate"] >= 6


def test_a_second_run_evaluates_nothing_and_a_longer_one_only_what_is_new(
    log: Path, tmp_path: Path
) -> None:
    first = run(tmp_path / "study")
    assert set(noted(log, "end").values()) == {1}
    count = len(noted(log, "end"))
    assert run(tmp_path / "study") == first
    assert len(noted(log, "end")) == count
    longer = run(tmp_path / "study", trials=20)
    assert {t for t in first if t[0] != "final"} < set(longer)
    assert set(noted(log, "end").values()) == {1} and set(noted(log, "begin").values()) == {1}


def test_a_failed_candidate_is_a_row_with_its_reason(log: Path, tmp_path: Path) -> None:
    run(tmp_path / "study", trials=40)
    with read_study(tmp_path / "study") as study:
        failed = [r for r in study.records() if r.error]
        assert failed and all(r.error == "unlucky" for r in failed)
        assert all(r.task.candidate.arguments[0][1][0] == 13 for r in failed)  # type: ignore[index]
        finals = [r for r in study.records(("final",)) if r.row is not None]
        # Within the budget, from the cheapest on.
        assert all(r.row["lut"] <= 1200 for r in finals if r.row is not None)


def test_a_killed_worker_is_replaced(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    killed: list[str] = []

    def kill_one(state: State) -> None:
        working = noted(log, "begin") - noted(log, "end")
        if not killed and len(state.rows) > 2 and working:
            key = next(iter(working))
            pid = next(int(line.split()[2]) for line in log.read_text().splitlines() if key in line)
            os.kill(pid, signal.SIGKILL)
            killed.append(key)

    run(tmp_path / "study", watch=kill_one)
    assert killed and noted(log, "begin")[killed[0]] == 2
    assert set(noted(log, "end").values()) == {1}


def test_a_worker_that_always_dies_becomes_a_row(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path, 1, "os:abort")
    executor.submit("k", {"key": "k", "folder": str(tmp_path)}, {})
    found: list[tuple[str, dict[str, object]]] = []
    until(lambda: bool(found.extend(executor.wait(1)) or found))
    executor.close()
    assert found[0][0] == "k"
    assert "its worker died 3 times (exit code 1)" in str(found[0][1]["error"])


def test_a_killed_client_goes_on_where_it_was(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    environment = {**os.environ, "FAKE_SECONDS": "0.2"}
    client = subprocess.Popen(
        [sys.executable, NETWORKS / "fake_study.py", folder, "local"], env=environment
    )
    until(lambda: len(noted(log, "end")) >= 4, 400)
    client.kill()
    client.wait()
    before = noted(log, "end")
    # Its workers end with it: nobody else is at a task that is begun again.
    time.sleep(0.5)
    assert noted(log, "end") == before or sum((noted(log, "end") - before).values()) <= 2
    assert run(folder) == run(tmp_path / "calm")
    ours = noted(log, "end")
    with read_study(folder) as study:
        keys = {r.key for r in study.records(("start", "candidate", "final"))}
    # Each once here and once in the calm study, whose keys are the same.
    assert all(ours[key] == 2 for key in keys)


def test_rows_that_workers_left_are_taken_and_damaged_ones_are_not(tmp_path: Path) -> None:
    task, key = Task("candidate", Candidate()), "0" * 32
    write_row(row_file(tmp_path, key), {"accuracy": 0.5})
    row_file(tmp_path, "1" * 32).write_text('{"accuracy": 0.')
    with open_study(tmp_path) as study:
        study.ask(key, task, "pareto")
        assert study.collect() == 1
        assert study.rows() == {key: {"accuracy": 0.5}}
        study.complete(key, {"accuracy": 0.9})  # what is complete stays
        assert study.rows()[key] == {"accuracy": 0.5}
        (record,) = study.records()
        assert (record.task, record.methods, record.done) == (task, ("pareto",), True)


def test_one_writer_and_clear_refusals(tmp_path: Path) -> None:
    with (
        open_study(tmp_path),
        pytest.raises(InputError, match="another process is exploring"),
        open_study(tmp_path),
    ):
        pass
    with pytest.raises(StorageError, match="there is no study"), read_study(tmp_path / "none"):
        pass
    (tmp_path / "study.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(StorageError, match="cannot be used"), read_study(tmp_path) as study:
        study.rows()


def test_abstract_resources_limit_what_runs_at_once(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = LocalExecutor(tmp_path, 3, EVALUATOR, {"licence": 1})
    with pytest.raises(InputError, match="needs 2 of 'licence', and there is 1"):
        executor.submit("x", {}, {"licence": 2})
    for i in range(4):
        candidate = {"arguments": {}, "interval": 1}
        message = {"key": f"k{i}", "folder": str(tmp_path), "candidate": candidate}
        executor.submit(f"k{i}", message, {"licence": 1})
    found: list[object] = []
    until(lambda: len(found) == 4 or bool(found.extend(executor.wait(1))))
    executor.close()
    steps = [line.split()[0] for line in log.read_text().splitlines()]
    assert steps == ["begin", "end"] * 4


def test_candidates_are_values(tmp_path: Path) -> None:
    one = Candidate((("weights", (2, 3)),), (("fc1", 0.5),), 4, 0.5)
    assert Candidate.from_dict(one.as_dict()) == one
    assert len({one, Candidate.from_dict(one.as_dict()), replace(one, interval=1)}) == 2
    with pytest.raises(StorageError, match="is no candidate"):
        Candidate.from_dict({"arguments": {"a": [[1]]}, "sparsity": {}, "interval": 1})
    assert str(one) == "weights 2-3, fc1 50% pruned, 1 in 4 cycles, pressure 0.5"
