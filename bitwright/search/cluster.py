"""Farms: the same evaluations on a Dask scheduler's workers, wherever they are.

The study's folder must be on a disk that client and workers share: a row that lies there is done,
whatever Dask says. A worker that dies loses only what it was at: the scheduler gives it to another.
A connection that is lost is not mended but made anew, and everything that has no row is sent again:
a restarted scheduler knows nothing, and Dask's client reconnects to it without a word. Workers that
were at something hold its lock (`worker.call`), so that nobody else does it meanwhile.

A dask-jobqueue file is YAML, one batch system and its settings, and how many jobs:

slurm:                       # or lsf, htcondor, pbs, sge, oar, moab, local
  cores: 4
  memory: 8GB
  walltime: "02:00:00"
jobs: 20
"""

import json
import logging
import queue
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bitwright.models.errors import InputError, ToolError
from bitwright.search.executors import ATTEMPTS, EVALUATOR, Message, Needs, Row
from bitwright.search.study import read_row, row_file
from bitwright.search.worker import call

BATCH_SYSTEMS = {
    "slurm": "SLURMCluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
    "local": "LocalCluster",
}
RECONNECT_S = 600.0
"""How long a scheduler that has gone is waited for, and workers that there are none of."""
QUEUE_S = 24 * 3600.0
"""How long jobs may stand in the queue of a batch system."""
SILENT_S = 24 * 3600.0
"""How long there may be workers and tasks, and none is finished."""

_LOOK_S = 5.0
_AWAY = (OSError, RuntimeError, TimeoutError, ValueError)
"""What Dask raises, by version and moment, where there is no scheduler."""


class DaskExecutor:
    """Workers of a Dask scheduler, or of jobs that a batch system starts.

    place: the scheduler's address, tcp://host:port, or the path of a dask-jobqueue file. Needs are
    Dask's abstract resources: workers are started with --resources "licence=1".

    Raises:
        InputError: Dask is not installed, or the file says something else.
        ToolError: the scheduler does not answer.
    """

    def __init__(
        self, place: str, evaluator: str = EVALUATOR, reconnect_s: float = RECONNECT_S
    ) -> None:
        try:
            import distributed
        except ImportError:
            raise InputError("--cluster needs Dask: pip install 'bitwright[cluster]'") from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we tell what matters
        self._distributed: Any = distributed
        self._evaluator, self._reconnect_s = evaluator, reconnect_s
        self._cluster = None if "://" in place else _jobs(Path(place))
        self._place: Any = place if self._cluster is None else self._cluster
        self._workers_s = reconnect_s if self._cluster is None else max(QUEUE_S, reconnect_s)
        self._tasks: dict[str, tuple[Message, Needs, int]] = {}
        self._futures: dict[str, Any] = {}
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._slots, self._looked = 1, -_LOOK_S
        self._client: Any = None
        self._scheduler = ""  # which process it is: another one knows nothing of our tasks
        self._answered = self._staffed = self._heard = time.monotonic()
        until = time.monotonic() + min(30.0, reconnect_s)
        while not self._connect():
            if time.monotonic() > until:
                raise self._no_answer()
            time.sleep(1)

    @property
    def slots(self) -> int:
        """Threads of all workers, as the scheduler last said; at least 1."""
        return self._slots

    def submit(self, key: str, message: Message, needs: Needs) -> None:
        """See `Executor`. Needs that no worker has are waited for."""
        if not self._tasks:
            self._heard = time.monotonic()
        self._tasks[key] = (message, needs, 1)
        self._send(key)

    def wait(self, timeout: float) -> list[tuple[str, Row]]:
        """See `Executor`.

        Raises ToolError where the scheduler or all workers stay away, or nothing is ever finished.
        """
        found = self._look()
        if self._client is None and not self._connect():
            if time.monotonic() - self._answered > self._reconnect_s:
                raise self._no_answer()
            time.sleep(min(timeout, 1.0))
        while not found or not self._events.empty():
            try:
                key, future = self._events.get(timeout=timeout)
            except queue.Empty:
                break
            if self._futures.get(key) is not future:
                continue  # of an earlier connection, or known from its file
            row = self._row(key, future)
            if row is not None:
                self._forget(key)
                found.append((key, row))
            elif self._client is None:
                break
        return found

    def close(self) -> None:
        """Let the workers go; those of jobs that we asked for end."""
        self._disconnect()
        if self._cluster is not None:
            self._cluster.close()

    def _connect(self) -> bool:
        """Make a connection, and send everything that has no row; whether it could be made."""
        try:
            self._client = self._distributed.Client(self._place, timeout=5, set_as_default=False)
            self._scheduler = self._identity()["id"]
        except _AWAY:
            self._disconnect()
            return False
        self._looked, self._answered, self._staffed = -_LOOK_S, *[time.monotonic()] * 2
        for key, (message, needs, attempt) in list(self._tasks.items()):
            self._tasks[key] = (message, needs, attempt + 1)
            self._send(key)
        return True

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._futures.clear()
        if client is not None:
            with suppress(*_AWAY):
                client.close(timeout=2)

    def _identity(self) -> dict[str, Any]:
        """What the scheduler says of itself."""
        asked = self._client.scheduler.identity
        told: dict[str, Any] = self._client.sync(asked, n_workers=0, callback_timeout=10)
        return told

    def _look(self) -> list[tuple[str, Row]]:
        """Now and then, who is there, and what rows there are that nobody has told of."""
        if self._client is not None and self._client.status != "running":
            self._disconnect()
        now = time.monotonic()
        if self._client is None or now - self._looked < _LOOK_S:
            return []
        self._looked = now
        try:
            told = self._identity()
        except _AWAY:
            return []  # a connection that has broken says so soon
        if told["id"] != self._scheduler:
            self._disconnect()
            return []
        self._answered = now
        if told["total_threads"] or not self._tasks:
            self._slots, self._staffed = max(told["total_threads"], 1), now
        elif now - self._staffed > self._workers_s:
            raise ToolError(
                f"the Dask scheduler at {self._place} has had no workers for "
                f"{self._workers_s:,.0f} s: start some (dask worker {self._place}), and run the "
                "same command again, which goes on where this one was"
            )
        found = []
        for key, (message, _, _) in list(self._tasks.items()):
            if (row := read_row(row_file(Path(message["folder"]), key))) is not None:
                self._forget(key)
                found.append((key, row))
        if found or not self._tasks:
            self._heard = now
        elif now - self._heard > SILENT_S:
            raise ToolError(
                f"no evaluation was finished in {SILENT_S / 3600:.0f} hours: see the logs of the "
                "workers, and whether any has the resources that search.needs asks for"
            )
        return found

    def _forget(self, key: str) -> None:
        self._heard = time.monotonic()
        del self._tasks[key]
        self._futures.pop(key, None)

    def _send(self, key: str) -> None:
        if self._client is None:
            return  # whoever connects sends it
        message, needs, attempt = self._tasks[key]
        try:
            future = self._client.submit(
                call,
                self._evaluator,
                json.dumps(message),
                key=f"bitwright-{key}-{attempt}",
                resources=dict(needs) or None,
                pure=False,
            )
        except _AWAY:
            self._disconnect()
            return
        self._futures[key] = future
        future.add_done_callback(lambda done, key=key: self._events.put((key, done)))

    def _row(self, key: str, future: Any) -> Row | None:
        """What became of a future, or None where it has to be sent again."""
        attempt = self._tasks[key][2]
        if future.status == "finished":
            with suppress(*_AWAY, self._distributed.CancelledError):
                row: Row = json.loads(future.result(timeout=60))
                return row
        elif future.status == "error":
            with suppress(*_AWAY, self._distributed.CancelledError):
                error = future.exception(timeout=60)
                return {"error": f"its worker failed: {type(error).__name__}: {error}"}
        if attempt >= 10 * ATTEMPTS:
            return {"error": f"it was lost {attempt} times by the scheduler: look at its log"}
        self._disconnect()  # only a lost connection takes a task or its result from us
        return None

    def _no_answer(self) -> ToolError:
        return ToolError(
            f"the Dask scheduler at {self._place} does not answer: start it, or give its address "
            "with --cluster, and run the same command again: what is finished is kept"
        )


def _jobs(file: Path) -> Any:
    """The cluster that a dask-jobqueue file describes."""
    try:
        import dask_jobqueue
        import yaml  # type: ignore[import-untyped]
        from dask_jobqueue import local
    except ImportError:
        raise InputError(
            "a dask-jobqueue file needs dask-jobqueue: pip install 'bitwright[cluster]'"
        ) from None
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"cluster {file} is no address like tcp://host:8786 and cannot be read: {error}"
        ) from None
    systems = [name for name in told if name != "jobs"] if isinstance(told, dict) else []
    if len(systems) != 1 or systems[0] not in BATCH_SYSTEMS:
        raise InputError(
            f"{file} has to name one batch system of {', '.join(BATCH_SYSTEMS)} with its settings, "
            f"and jobs, not {', '.join(map(str, systems)) or 'none'}"
        )
    name, jobs = systems[0], told.get("jobs", 1)
    if type(jobs) is not int or jobs < 1 or not isinstance(told[name], dict):
        raise InputError(f"{file}: {name} is a table of settings, and jobs a number from 1 on")
    kind = local.LocalCluster if name == "local" else getattr(dask_jobqueue, BATCH_SYSTEMS[name])
    try:
        cluster = kind(**told[name])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{file}: {name} cannot be used: {error}") from None
    cluster.scale(jobs=jobs)
    return cluster
