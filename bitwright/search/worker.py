"""A worker: takes tasks as lines of JSON, one at a time, and answers each with its row.

    python -m bitwright.search.worker MODULE:FUNCTION

It ends at once when its standard input does, so that none outlives who started it.
"""

import fcntl
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from bitwright.search.study import read_row, row_file, write_row

Message = Mapping[str, Any]


def call(evaluator: str, message: str) -> str:
    """The row of a message, both as JSON: the one that was left for its key, or a new one, left.

    Waits where another process is at the same task, such as one whose scheduler has gone. The
    kernel frees the locks of whoever dies.

    evaluator: "module:function", from a message to a row.
    """
    told: dict[str, Any] = json.loads(message)
    file = row_file(Path(told["folder"]), told["key"])
    with _alone(file.with_suffix(".lock")):
        row = read_row(file)
        if row is None:
            row = _function(evaluator)(told)
            write_row(file, row)
    return json.dumps(row)


def _function(evaluator: str) -> Callable[[Message], dict[str, Any]]:
    module, _, name = evaluator.partition(":")
    found: Callable[[Message], dict[str, Any]] = getattr(import_module(module), name)
    return found


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a lock, which is removed afterwards; without one on a disk that knows none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        file.unlink(missing_ok=True)  # whoever waits with it finds the row


def main() -> None:
    """Serve the standard input. What libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    _function(sys.argv[1])  # imported before there is a task
    while True:
        answers.write(call(sys.argv[1], lines.get()) + "\n")


if __name__ == "__main__":
    main()
