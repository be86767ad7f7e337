"""Running other people's programs: found on the PATH, bounded in time, their last words kept."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bitwright.models.errors import ToolError

_LINES = 12
_ERROR = re.compile(r"\berror: |^ERROR: ")  # as compilers and the vendors' tools write it


def find(program: str, remedy: str) -> str:
    """The full path of a program. Raises ToolError with the remedy where it is not on the PATH."""
    path = shutil.which(program)
    if path is None:
        raise ToolError(f"{program} is not on the PATH: {remedy}")
    return path


def run(
    command: Sequence[object],
    *,
    what: str,
    folder: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program printed, run inside `folder`. what: the activity, for messages.

    Raises:
        ToolError: it failed, crashed or took longer than `timeout_s` seconds; with the first error
            that it printed, or the last lines.
    """
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its children can be stopped with it
    ) as process:
        try:
            printed, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            raise ToolError(
                f"{what} took longer than {timeout_s:g} s and was stopped: allow it more time"
                f"{_last_lines(printed)}"
            ) from None
        finally:
            if process.poll() is None:  # also where the user pressed Ctrl-C
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise ToolError(f"{what} {_ending(process.returncode)}{_telling_lines(printed)}")
    return printed


def _telling_lines(printed: str) -> str:
    """A compiler's first error and what follows, since later errors come of it; else the last."""
    lines = printed.rstrip().splitlines()
    for i, line in enumerate(lines):
        if _ERROR.search(line):
            return "; its first error:\n" + "\n".join(lines[i : i + _LINES])
    return _last_lines(printed)


def _last_lines(printed: str) -> str:
    lines = printed.rstrip().splitlines()[-_LINES:]
    return "".join(["; the last that it printed:\n", "\n".join(lines)]) if lines else ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"failed with exit code {code}"
    return f"was stopped by signal {-code} ({signal.strsignal(-code)})"
