"""Files from strangers, by the hundred thousand: no crash, no hang, no memory, nothing outside.

    python -m trust strangers --inputs 100000

Every file is read in a forked worker. A file fails when anything but one of our own errors comes
out, when reading takes 10 s of the processor or 60 s of the clock, or 1 GiB of memory, or when
anything is opened, written or run outside the worker's own folder. What fails is kept under
tests/strangers, where a test reads it again.
"""

import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError
from trust import results
from trust.strangers import KINDS, Kind, Loader, damaged, read

CHUNK = 1000
KEPT = Path(__file__).parent.parent / "tests" / "strangers"

_CPU_S, _WALL_S = 10, 60
_UNFORESEEN = "why was not foreseen"  # what the ONNX lowering says of errors that are not ours
_MEMORY = 1 << 30
_FOREVER = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn",
            "socket.connect", "socket.bind")  # fmt: skip
_WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod",
           "os.truncate", "shutil.move")  # fmt: skip
# What Python itself reads: its libraries, devices, and where ours are installed from.
_READABLE = tuple(
    os.path.realpath(path) + os.sep
    for path in (sys.prefix, sys.base_prefix, sysconfig.get_paths()["stdlib"], "/proc", "/dev",
                 "/sys", "/usr", "/etc", Path(__file__).parent.parent)
)  # fmt: skip


class Hang(BaseException):
    """Too much time; no loader catches it."""


class Outside(BaseException):
    """Something was touched that is not the loader's; no loader catches it."""


def failures(
    kind: Kind, first: int, count: int, loader: Loader = read
) -> tuple[list[tuple[int, str]], int]:
    """The numbers of the files that fail, and why; and how many files were taken as valid."""
    if kind in ("recipe", "onnx"):  # imported once, before workers are forked and watched
        import bitwright.models.lower.onnx
        import bitwright.models.recipes  # noqa: F401
    found: list[tuple[int, str]] = []
    valid, number = 0, first
    while number < first + count:
        done, taken, failed = _worker(kind, number, first + count - number, loader)
        found += failed
        valid += taken
        number += done
    return found, valid


def _worker(
    kind: Kind, first: int, count: int, loader: Loader
) -> tuple[int, int, list[tuple[int, str]]]:
    """Files in one process, until all are read or it has to end: how many, how many valid, why."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        status = 1
        try:
            with os.fdopen(into, "w", buffering=1) as pipe:
                _read_all(kind, first, count, loader, pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - this process is a copy: nothing may leave it
            log = Path(tempfile.gettempdir(), "bitwright-strangers.log")
            log.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    os.close(into)
    done, valid, failed = 0, 0, []
    with os.fdopen(out, "rb", buffering=0) as pipe:
        for line in _lines(pipe):
            if line is None:
                os.kill(child, signal.SIGKILL)
                failed.append((first + done, f"no answer in {_WALL_S} s"))
                done += 1
                break
            answer = json.loads(line)
            done += 1
            if answer is True:
                valid += 1
            elif isinstance(answer, str):
                failed.append((first + done - 1, answer))
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"making {kind} {first + done} failed: see bitwright-strangers.log")
    if (
        os.WIFSIGNALED(status)
        and done < count
        and not (failed and failed[-1][0] == first + done - 1)
    ):
        failed.append((first + done, f"the reader was killed by signal {os.WTERMSIG(status)}"))
        done += 1
    return done, valid, failed


def _lines(pipe: Any) -> Iterator[bytes | None]:
    """Lines as they come; None where none came in time."""
    held = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], _WALL_S)
        if not ready:
            yield None
            return
        more = pipe.read(1 << 16)
        if not more:
            return
        *lines, held = (held + more).split(b"\n")
        yield from lines


def _read_all(kind: Kind, first: int, count: int, loader: Loader, pipe: Any) -> None:
    faulthandler.disable()  # pytest's would write through what is closed here
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    home = Path(tempfile.mkdtemp(prefix="bitwright-strangers-", dir=_memory_disk()))
    try:
        _guard(home)
        for number in range(first, first + count):
            folder = home / "given"
            shutil.rmtree(home, ignore_errors=True)
            folder.mkdir(parents=True)
            damaged(kind, number, folder)
            answer = _one(kind, folder, loader)
            pipe.write(json.dumps(answer) + "\n")
            if isinstance(answer, str):
                break  # whatever is broken now shall not break what follows
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _guard(home: Path) -> None:
    """Limits on memory and time, and an eye on files; for the rest of the process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 3 * _MEMORY  # address space, not all of it used
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def hung(signum: int, frame: Any) -> None:
        raise Hang(f"{_CPU_S} s of processor time")

    signal.signal(signal.SIGPROF, hung)
    mine = os.path.realpath(home) + os.sep

    def inside(path: Any) -> bool:
        return not isinstance(path, str | bytes | os.PathLike) or (
            os.path.realpath(os.fsdecode(path)) + os.sep
        ).startswith(mine)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not _watching:
            return
        if event == "open":
            path, _, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if inside(path):
                return
            known = os.path.realpath(os.fsdecode(path)) + os.sep
            if writes or not known.startswith(_READABLE):
                raise Outside(f"open {path!r} to {'write' if writes else 'read'}")
        elif event.startswith(_FOREVER) or (
            event in _WRITES and not all(map(inside, arguments[:2]))
        ):
            raise Outside(f"{event} {arguments!r}")

    sys.addaudithook(watch)


_watching: list[bool] = []


def _one(kind: Kind, folder: Path, loader: Loader) -> bool | str:
    """True for a file that was taken, False for one that was refused, else what went wrong."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, _CPU_S)
    _watching.append(True)
    answer: bool | str = True
    try:
        loader(kind, folder)
    except BitwrightError as error:
        answer = str(error) if _UNFORESEEN in str(error) else False
    except (Hang, Outside) as error:
        answer = f"{type(error).__name__}: {error}"
    except BaseException as error:  # noqa: BLE001 - whatever escapes is what we look for
        answer = "".join(traceback.format_exception(error)[-4:])
    finally:
        _watching.clear()
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    return f"{grown >> 20} MiB of memory" if grown > _MEMORY else answer


def strangers(
    inputs: Annotated[int, typer.Option(help="how many in all, of every kind as many")] = 100_000,
    again: Annotated[bool, typer.Option(help="those in which something failed, again")] = True,
) -> None:
    """Damaged graphs, plans, recipes and ONNX files through their loaders."""
    console = Console()
    each = -(-inputs // len(KINDS))
    for first in range(0, each, CHUNK):
        for kind in KINDS:
            known = {(r["kind"], r["first"]): r for r in results.rows("loader_fuzz")}
            row = known.get((kind, str(first)))
            count = min(CHUNK, each - first)
            done = row is not None and int(row["inputs"]) >= count
            if done and (not again or (row is not None and row["failures"] == "0")):
                continue
            begun = time.monotonic()
            failed, valid = failures(kind, first, count)
            seconds = time.monotonic() - begun
            made = {"kind": kind, "first": first, "inputs": count, "valid": valid,
                    "failures": len(failed), "seconds": round(seconds, 1),
                    "commit": results.commit()}  # fmt: skip
            results.record("loader_fuzz", ("kind", "first"), made)
            console.print(
                f"{kind} {first} to {first + count - 1}: {valid} taken, {len(failed)} failed, "
                f"{seconds:.0f} s",
                highlight=False,
            )
            for number, why in failed[:20]:
                console.print(f"  {kind} {number}: {why}", markup=False, highlight=False)
            for number, _ in failed[:2]:
                keep(kind, number)


def keep(kind: Kind, number: int, folder: Path = KEPT) -> Path:
    """Write a numbered file into the repository, for the test that reads it again."""
    place = folder / f"{kind}_{number}"
    place.mkdir(parents=True, exist_ok=True)
    damaged(kind, number, place)
    return place
