"""The study: an SQLite file that remembers every task and its row; whatever is in it is not redone.

One process writes at a time. A task is entered when it is asked for, and completed with its row in
one transaction; nothing is ever changed or removed. Workers leave rows in files first (`rows/`), so
that what was finished while nobody listened is found by the next run, and by other workers.
"""

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.models.errors import InputError, StorageError
from bitwright.search.candidate import Candidate, Kind, Task

FILE = "study.db"
MAX_ROW_BYTES = 64 << 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    candidate TEXT NOT NULL,
    asked REAL NOT NULL,
    finished REAL,
    row TEXT
);
CREATE TABLE IF NOT EXISTS proposals (
    method TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (method, key)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A task and what is known of it. number: by which people name it. row: None if unfinished."""

    number: int
    key: str
    task: Task
    asked: float
    finished: float | None
    row: Mapping[str, Any] | None
    methods: tuple[str, ...] = ()

    @property
    def error(self) -> str | None:
        """Why it failed, if it did."""
        return None if self.row is None else self.row.get("error")

    @property
    def done(self) -> bool:
        """Whether it has a row with numbers."""
        return self.row is not None and "error" not in self.row


class Study:
    """A study in a folder. `open_study` is for the one who writes, `read_study` for all others."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder = folder
        self._db = database

    def close(self) -> None:
        """Close the file; every row that was completed is in it already."""
        self._db.close()

    def ask(self, key: str, task: Task, method: str | None) -> None:
        """Enter a task, and who proposed it."""
        told = (key, task.kind, json.dumps(task.candidate.as_dict()), time.time())
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO tasks (key, kind, candidate, asked) VALUES (?, ?, ?, ?)",
                told,
            )
            if method is not None:
                self._db.execute("INSERT OR IGNORE INTO proposals VALUES (?, ?)", (method, key))

    def complete(self, key: str, row: Mapping[str, Any]) -> None:
        """Complete a task. A row that is there already stays."""
        with self._db:
            self._db.execute(
                "UPDATE tasks SET finished = ?, row = ? WHERE key = ? AND row IS NULL",
                (time.time(), json.dumps(row), key),
            )

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of all finished tasks, by key."""
        found = self._db.execute("SELECT key, row FROM tasks WHERE row IS NOT NULL")
        return {key: _row(text) for key, text in found}

    def records(self, kinds: Iterable[Kind] = ("candidate", "final")) -> list[Record]:
        """All tasks of some kinds, in the order in which they were asked for."""
        methods: dict[str, list[str]] = {}
        for method, key in self._db.execute("SELECT method, key FROM proposals ORDER BY method"):
            methods.setdefault(key, []).append(method)
        wanted = set(kinds)
        columns = "number, key, kind, candidate, asked, finished, row"
        return [
            Record(
                number,
                key,
                Task(kind, Candidate.from_dict(_row(candidate))),
                asked,
                finished,
                None if row is None else _row(row),
                tuple(methods.get(key, ())),
            )
            for number, key, kind, candidate, asked, finished, row in self._db.execute(
                f"SELECT {columns} FROM tasks ORDER BY number"
            )
            if kind in wanted
        ]

    def fact(self, name: str) -> Any:
        """A fact, or None."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def remember(self, name: str, value: object) -> None:
        """Set a fact."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def collect(self) -> int:
        """Take the rows of known tasks that workers left in files; how many."""
        taken = 0
        unfinished = self._db.execute("SELECT key FROM tasks WHERE row IS NULL").fetchall()
        for (key,) in unfinished:
            if (row := read_row(row_file(self.folder, key))) is not None:
                self.complete(key, row)
                taken += 1
        return taken


@contextmanager
def open_study(folder: Path) -> Iterator[Study]:
    """The study in a folder, made if there is none, for one writer.

    Raises:
        InputError: another process writes to it.
        StorageError: the file is damaged, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot write {folder} ({error}): choose another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is exploring in {folder}: wait for it, or choose another folder"
            ) from None
        with _database(folder / FILE) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.executescript(_SCHEMA)
            study = Study(folder, database)
            study.collect()
            yield study


@contextmanager
def read_study(place: Path) -> Iterator[Study]:
    """The study in a folder or file, to be read, also while it is written.

    Raises StorageError if there is none, or it is damaged.
    """
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise StorageError(f"there is no study at {place}: 'bitwright explore' makes one")
    with _database(file) as database:
        database.execute("PRAGMA query_only=ON")
        yield Study(file.parent, database)


@contextmanager
def _database(file: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(file, timeout=30)
    try:
        yield database
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"study {file} cannot be used ({error}): is it one, and is there room on its disk?"
        ) from None
    finally:
        database.close()


def row_file(folder: Path, key: str) -> Path:
    """Where a worker leaves the row of a task."""
    return folder / "rows" / f"{key}.json"


def write_row(file: Path, row: Mapping[str, Any]) -> None:
    """Leave a row: whole or not there, also after a kill or power cut."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.stem}-{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as out:
        json.dump(row, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)


def read_row(file: Path) -> dict[str, Any] | None:
    """A row that was left, or None without a usable one."""
    try:
        if file.stat().st_size > MAX_ROW_BYTES:
            return None
        row = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise StorageError(f"a row of the study is damaged ({error})") from None
    if not isinstance(row, dict):
        raise StorageError(f"a row of the study is damaged: {text[:80]}")
    return row
