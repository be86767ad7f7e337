"""Files that are whole or not there: written beside their place, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bitwright.models.errors import StorageError


@contextmanager
def replaced_file(path: str | os.PathLike[str], what: str = "") -> Iterator[IO[bytes]]:
    """A fresh file that takes the path's place when the block ends without an error.

    Whatever happens inside, also a kill, the path has its old content or all of the new one.
    what: the file's name in messages. Raises StorageError where it cannot be written.
    """
    target = Path(path)
    fresh: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}-", delete=False
        ) as file:
            fresh = Path(file.name)
            yield file
        fresh.chmod(0o644)
        fresh.replace(target)
    except OSError as error:
        name = f"{what} {target}".strip()
        raise StorageError(
            f"cannot write {name} ({error.strerror or error}): choose a folder that can be "
            "written, on a disk with room"
        ) from None
    finally:
        if fresh is not None:
            fresh.unlink(missing_ok=True)


def replace_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Replace what a file holds, text as UTF-8. Raises StorageError as `replaced_file`."""
    with replaced_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
