"""Running other people's programs: found on the PATH, bounded in time, their last words kept."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bitwright.models.errors import ToolError

_LAST_LINES = 12


def find(program: str, remedy: str) -> str:
    """The full path of a program. Raises ToolError with the remedy where it is not on the PATH."""
    path = shutil.which(program)
    if path is None:
        raise ToolError(f"{program} is not on the PATH: {remedy}")
    return path


def run(command: Sequence[object], *, what: str, folder: Path, timeout_s: float) -> str:
    """What a program printed, run inside `folder`. what: the activity, for messages.

    Raises:
        ToolError: it failed, crashed or took longer than `timeout_s` seconds.
    """
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
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
            raise ToolError(
                f"{what} took longer than {timeout_s:g} s and was stopped: allow it more time"
            ) from None
        finally:
            if process.poll() is None:  # also where the user pressed Ctrl-C
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        last = "\n".join(printed.rstrip().splitlines()[-_LAST_LINES:])
        raise ToolError(f"{what} {_ending(process.returncode)}; the last that it printed:\n{last}")
    return printed


def _ending(code: int) -> str:
    if code >= 0:
        return f"failed with exit code {code}"
    return f"was stopped by signal {-code} ({signal.strsignal(-code)})"
