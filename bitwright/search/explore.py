"""A study from beginning to end: methods propose, an executor evaluates, the study remembers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitwright.search.candidate import Task
from bitwright.search.executors import Executor, Needs
from bitwright.search.methods import METHODS, Handle, Method, Note, finalists
from bitwright.search.space import Space
from bitwright.search.study import Study, open_study

Watch = Callable[["State"], None]
"""Told whenever something has changed, and now and then."""

_PAUSE_S = 0.5
_PACKAGES = ("bitwright", "torch", "brevitas", "numpy", "scipy")


@dataclass
class _Running:
    """A method, and the handle that it waits for."""

    name: str
    method: Method
    answer: Any = None
    waits: Handle | None = None
    ended: bool = False

    @property
    def ready(self) -> bool:
        return not self.ended and (self.waits is None or self.waits.row is not None)


class State:
    """What is going on: for whoever watches."""

    def __init__(self, space: Space, study: Study, executor: Executor) -> None:
        self.space, self.study, self.executor = space, study, executor
        self.rows: dict[str, dict[str, Any]] = {}
        """Finished rows of this run's tasks, by key."""
        self.handles: dict[str, list[Handle]] = {}
        self.running: dict[str, Task] = {}
        """What the executor has, by key."""
        self.evaluated: list[dict[str, Any]] = []
        """Rows that were made in this run, and not found."""
        self.methods: list[_Running] = []
        self.notes: list[str] = []
        """What methods want people to know."""

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task that was proposed so far, by key."""
        return {key: handles[0].task for key, handles in self.handles.items()}

    def candidates(self) -> list[tuple[Task, Mapping[str, Any]]]:
        """Finished candidates that did not fail, with their rows."""
        return [
            (handles[0].task, self.rows[key])
            for key, handles in self.handles.items()
            if handles[0].task.kind == "candidate"
            and key in self.rows
            and "error" not in self.rows[key]
        ]


def explore(
    space: Space,
    folder: Path,
    executor: Executor,
    watch: Watch = lambda state: None,
    methods: Mapping[str, Callable[[Space], Method]] = METHODS,
) -> None:
    """Run a study in a folder, or go on with it, until everything that it proposes is done.

    Raises:
        InputError: another process explores there, a method cannot be used, or a layer is to be
            pruned that cannot be.
        StorageError: the study is damaged, or cannot be written.
    """
    from bitwright.search.network import check_pruned

    check_pruned(space)
    with open_study(folder) as study:
        study.remember("space", space.as_dict())
        study.remember("versions", {name: version(name) for name in _PACKAGES})
        driver = _Driver(State(space, study, executor), study.rows(), watch)
        driver.run([(name, methods[name](space)) for name in space.search.methods])
        told = [(task.candidate, row) for task, row in driver.state.candidates()]
        driver.run([("final", finalists(space, told))])
        study.remember("notes", driver.state.notes)


def evaluate_one(space: Space, folder: Path, executor: Executor, task: Task) -> Mapping[str, Any]:
    """The row of one task, which is entered in the study; found there if it is known.

    Raises as `explore`.
    """

    def chosen() -> Method:
        yield task

    with open_study(folder) as study:
        driver = _Driver(State(space, study, executor), study.rows(), lambda state: None)
        driver.run([("chosen", chosen())])
        return driver.state.rows[space.key(task)]


class _Driver:
    def __init__(self, state: State, known: dict[str, dict[str, Any]], watch: Watch) -> None:
        self.state, self._known, self._watch = state, known, watch
        self._space = state.space.as_dict()
        self._behind: dict[str, list[str]] = {}
        """Tasks that wait for a float network, by its key."""

    def run(self, methods: list[tuple[str, Method]]) -> None:
        running = [_Running(name, method) for name, method in methods]
        state = self.state
        state.methods += running
        while True:
            for one in running:
                # Twice the slots: a worker never waits for the next proposal.
                while one.ready and len(state.running) < 2 * state.executor.slots:
                    self._step(one)
            self._watch(state)
            if not state.running:
                if not any(one.ready for one in running):
                    break
                continue
            for key, row in state.executor.wait(_PAUSE_S):
                self._finished(key, row)
        assert all(one.ended for one in running)

    def _step(self, one: _Running) -> None:
        answer, one.answer = one.answer, None
        if one.waits is not None:
            answer, one.waits = one.waits.row, None
        try:
            said = one.method.send(answer)
        except StopIteration:
            one.ended = True
            return
        if isinstance(said, Handle):
            one.waits = said
        elif isinstance(said, Note):
            self.state.notes.append(said.text)
        else:
            one.answer = self._propose(said, one.name)

    def _propose(self, task: Task, method: str | None) -> Handle:
        state = self.state
        key = state.space.key(task)
        handle = Handle(task)
        others = state.handles.setdefault(key, [])
        others.append(handle)
        if key not in self._known or method is not None:
            state.study.ask(key, task, method)
        if key in state.rows:
            handle.row = state.rows[key]
        elif key in self._known:
            self._take(key, self._known[key])
        elif len(others) == 1:
            self._submit(key, task)
        return handle

    def _submit(self, key: str, task: Task) -> None:
        """Now, or behind the float network that the task starts from."""
        state = self.state
        start = state.space.start_of(task.candidate)
        if task.kind != "start":
            row = self._propose(start, None).row
            if row is None:
                self._behind.setdefault(state.space.key(start), []).append(key)
                state.running[key] = task
                return
            if "error" in row:
                failed = f"its float network failed: {row['error']}"
                self._finished(key, {"error": failed, "seconds": 0.0})
                return
        state.running[key] = task
        message = {"key": key, "kind": task.kind, "candidate": task.candidate.as_dict()}
        message |= {"space": self._space, "folder": str(state.study.folder.resolve())}
        message["context"] = state.space.contexts[task.kind]
        message["start"] = state.space.key(start)
        needs: Needs = state.space.search.needs
        state.executor.submit(key, message, needs)

    def _finished(self, key: str, row: dict[str, Any]) -> None:
        self.state.study.complete(key, row)
        self.state.evaluated.append(row)
        self._take(key, row)

    def _take(self, key: str, row: dict[str, Any]) -> None:
        state = self.state
        state.running.pop(key, None)
        state.rows[key] = row
        for handle in state.handles[key]:
            handle.row = row
        for behind in self._behind.pop(key, []):
            self._submit(behind, state.handles[behind][0].task)
