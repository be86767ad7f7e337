"""A user's own model: a factory function in a Python file, and a state_dict that torch saved."""

import hashlib
import importlib.util
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitwright.models.errors import InputError, StorageError

# What Brevitas saves only once it has collected statistics of an activation.
_ACTIVATION_SCALE = re.compile(r"act_quant\..*scaling_impl\.value$")


def load_model(
    source: str,
    weights: str | Path | None = None,
    arguments: Mapping[str, object] | None = None,
) -> nn.Module:
    """The model that `factory` in `file.py` makes, with the weights of a saved state_dict.

    source: "path/to/file.py:factory", a function that returns a torch.nn.Module and needs no other
    arguments than those given. The file is executed, as Python would; files beside it can be
    imported. weights: what torch.save(model.state_dict(), path) wrote; only tensors are read, no
    code.

    Raises:
        InputError: no such file or function, an error inside it, or weights of another model.
        StorageError: weights that are missing, damaged or no state_dict.
    """
    path, _, name = source.rpartition(":")
    if not path or not name.isidentifier():
        raise InputError(f"model {source!r}: give a file and a function, such as net.py:make_net")
    file = Path(path).resolve()
    if not file.is_file():
        raise InputError(f"model file {path} does not exist")
    with _importable(file.parent):
        factory = _factory(file, name)
        try:
            model = factory(**(arguments or {}))
        except Exception as error:
            raise InputError(f"{source} raised {_describe(error)}") from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{source} returned a {type(model).__name__}: let it return the torch.nn.Module"
        )
    if weights is not None:
        _load_weights(model, Path(weights), source)
    return model


def _factory(file: Path, name: str) -> Callable[..., Any]:
    # A name of its own, so that the user's file can neither hide a module nor be hidden by one.
    unique = f"bitwright_user_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(unique, file)
    if spec is None or spec.loader is None:
        raise InputError(f"model file {file} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses and torch look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[unique]
        raise InputError(f"{file} raised {_describe(error)} when imported") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        own = [n for n, v in vars(module).items() if callable(v) and v.__module__ == unique]
        raise InputError(
            f"{file} has no function {name!r}: it defines {', '.join(own) or 'no function'}"
        )
    return factory  # type: ignore[no-any-return]


def _load_weights(model: nn.Module, path: Path, source: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about foreign pickles: refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise StorageError(f"weights {path} do not exist") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise StorageError(
            f"weights {path} cannot be read as tensors ({_describe(error)}): save them with "
            "torch.save(model.state_dict(), path)"
        ) from None
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        inner = (
            [k for k, v in state.items() if isinstance(v, Mapping)]
            if isinstance(state, Mapping)
            else []
        )
        hint = f" (it holds {', '.join(map(repr, inner))}: is it a checkpoint?)" if inner else ""
        raise StorageError(
            f"weights {path} are no state_dict{hint}: save torch.save(model.state_dict(), path)"
        )
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        shapes = [line.strip() for line in str(error).splitlines()[1:3]]
        raise InputError(
            f"weights {path} are of another model than {source} makes: {' '.join(shapes)}: "
            "name the function and the arguments that they were trained with"
        ) from None
    if missing and not unexpected and all(_ACTIVATION_SCALE.search(key) for key in missing):
        raise InputError(
            f"weights {path} lack {_some(missing)}: the activations were never calibrated: run "
            "some batches in train mode, then save"
        )
    if missing or unexpected:
        kinds = {"missing": missing, "unexpected": unexpected}
        told = "; ".join(f"{kind} {_some(keys)}" for kind, keys in kinds.items() if keys)
        raise InputError(
            f"weights {path} are of another model than {source} makes: {told}: name the function "
            "and the arguments that they were trained with"
        )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:3])
    return f"{shown} and {len(keys) - 3} more" if len(keys) > 3 else shown


def _describe(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
