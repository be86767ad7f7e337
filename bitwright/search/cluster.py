"""Farms: the same evaluations on a Dask scheduler's workers, wherever they are.

The study's folder must be on a disk that client and workers share. A worker that dies loses only
what it was at: the scheduler gives it to another. A scheduler that is restarted, or a client, finds
what was finished meanwhile in the folder.

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
"""How long a scheduler that has gone is waited for."""

_LOOK_S = 5.0


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
        self._client = self._connected(time.monotonic() + min(30.0, reconnect_s))
        self._tasks: dict[str, tuple[str, Needs, int]] = {}
        self._futures: dict[str, Any] = {}
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._slots, self._looked = 1, -_LOOK_S

    @property
    def slots(self) -> int:
        """Threads of all workers, as the scheduler last said; at least 1."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            with suppress(OSError, RuntimeError, TimeoutError):  # it is away: as many as before
                self._slots = max(sum(self._client.nthreads().values()), 1)
        return self._slots

    def submit(self, key: str, message: Message, needs: Needs) -> None:
        """See `Executor`. Needs that no worker has are waited for."""
        self._tasks[key] = (json.dumps(message), needs, 1)
        self._send(key)

    def wait(self, timeout: float) -> list[tuple[str, Row]]:
        """See `Executor`. Raises ToolError where the scheduler stays away."""
        if self._client.status not in ("running", "connecting"):
            self._again()
        found: list[tuple[str, Row]] = []
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return found
        while True:
            key, future = event
            if self._futures.get(key) is future and (row := self._row(key, future)) is not None:
                del self._futures[key], self._tasks[key]
                found.append((key, row))
            if self._events.empty():
                return found
            event = self._events.get()

    def close(self) -> None:
        """Let the workers go; those of jobs that we asked for end."""
        for future in self._futures.values():
            future.release()
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close()

    def _send(self, key: str) -> None:
        message, needs, attempt = self._tasks[key]
        future = self._client.submit(
            call,
            self._evaluator,
            message,
            key=f"bitwright-{key}-{attempt}",
            resources=dict(needs) or None,
            pure=False,
        )
        self._futures[key] = future
        future.add_done_callback(lambda done, key=key: self._events.put((key, done)))

    def _row(self, key: str, future: Any) -> Row | None:
        """What became of a future, or None where it was sent again."""
        if future.status == "finished":
            try:
                row: Row = json.loads(future.result(timeout=60))
                return row
            except (OSError, RuntimeError, TimeoutError, self._distributed.CancelledError):
                pass  # whoever had the result has gone
        elif future.status == "error":
            error = future.exception(timeout=60)
            return {"error": f"its worker failed: {type(error).__name__}: {error}"}
        message, needs, attempt = self._tasks[key]
        if attempt >= 10 * ATTEMPTS:
            return {"error": f"it was lost {attempt} times by the scheduler: look at its log"}
        self._tasks[key] = (message, needs, attempt + 1)
        if self._client.status == "running":
            self._send(key)
        return None

    def _connected(self, until: float) -> Any:
        while True:
            try:
                return self._distributed.Client(self._place, timeout=5, set_as_default=False)
            except (OSError, RuntimeError, TimeoutError, ValueError) as error:
                if time.monotonic() > until:
                    raise ToolError(
                        f"the Dask scheduler at {self._place} does not answer ({error}): start "
                        "it, or give its address with --cluster"
                    ) from None
            time.sleep(1)

    def _again(self) -> None:
        """To the scheduler that was restarted, with everything that is not done."""
        self._client.close(timeout=1)
        self._client = self._connected(time.monotonic() + self._reconnect_s)
        for key, (message, needs, attempt) in list(self._tasks.items()):
            self._tasks[key] = (message, needs, attempt + 1)
            self._send(key)


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
