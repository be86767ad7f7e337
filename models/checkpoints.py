"""Checkpoints of training: tensors and plain values in one file, never code, whole or not there."""

import os
import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from bitwright.models.errors import StorageError
from bitwright.models.files import replaced_file


def load_checkpoint(path: Path, identity: str, keys: Collection[str] = ()) -> dict[str, Any] | None:
    """What a run of this identity stored, or None without a file.

    keys: of what has to be in it. Raises StorageError for a file that is damaged, of another run,
    or of an earlier bitwright, which stored less.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise StorageError(
            f"checkpoint {path} is damaged ({type(error).__name__}): delete it to train anew"
        ) from None
    if found != identity:
        raise StorageError(
            f"checkpoint {path} is of a run with other data, layers or settings: delete it or "
            "name another file"
        )
    if lacking := sorted(set(keys) - set(state)):
        raise StorageError(
            f"checkpoint {path} lacks {', '.join(lacking)}, as an earlier version of bitwright "
            "wrote it: delete it to train anew"
        )
    return dict(state)


def save_tensors(path: Path, state: dict[str, Any], what: str) -> None:
    """torch.save; a kill or a power cut leaves the old file or the new one.

    what: the file's name in messages. Raises StorageError if it cannot be written.
    """
    with replaced_file(path, f"the {what}") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # as torch reports a full disk
            raise OSError(str(error)) from None
        file.flush()
        os.fsync(file.fileno())
