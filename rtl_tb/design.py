"""A design on disk: what was emitted, and what a test bench must know to drive it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.models.errors import BitwrightError, StorageError
from bitwright.models.graph import IntType, Plan, Value, plan_from_json, plan_to_json

_LICENCE = b"// SPDX-License-Identifier:"


@dataclass(frozen=True, eq=False, slots=True)
class Design:
    """Emitted SystemVerilog. `modules` maps a graph's node to the module that computes it."""

    folder: Path
    top: str
    files: tuple[Path, ...]
    modules: Mapping[str, str]
    input: Value
    output: Value
    latency: int
    interval: int
    input_beats: int = 1
    """Beats of one input tensor."""
    output_beats: int = 1
    framed: bool = False
    """Whether tlast marks the last beat of every tensor, rather than being passed along."""
    load_beats: int = 0
    """Beats of 32 bits that load all weights that can be loaded at run time."""
    plan: Plan | None = None
    """The plan that it was emitted by; none for hardware of another origin."""
    form: str = "adder_graph"
    """What unrolled products consist of: "adder_graph", or "plain" multiplications."""

    def texts(self) -> dict[str, str]:
        """The text of every file by the name of its module. Raises StorageError."""
        try:
            return {file.stem: file.read_text(encoding="utf-8") for file in self.files}
        except OSError as error:
            raise StorageError(f"cannot read {error.filename}: {error.strerror}") from None

    def digest(self) -> str:
        """SHA-256 over the names and texts of all files, but for their licence: an IP adds that.

        Raises StorageError.
        """
        sha = hashlib.sha256()
        try:
            for file in self.files:
                lines = file.read_bytes().splitlines(keepends=True)
                text = b"".join(line for line in lines if not line.startswith(_LICENCE))
                sha.update(f"{file.relative_to(self.folder).as_posix()}:{len(text)}:".encode())
                sha.update(text)
        except OSError as error:
            raise StorageError(f"cannot read {error.filename}: {error.strerror}") from None
        return sha.hexdigest()

    @property
    def input_beat(self) -> Value:
        """What one beat of the input carries: equal parts of the tensor, first elements first."""
        return _part(self.input, self.input_beats)

    @property
    def output_beat(self) -> Value:
        """What one beat of the output carries."""
        return _part(self.output, self.output_beats)

    def to_json(self, graph_digest: str) -> str:
        """The design as the text of its `design.json`, with paths relative to the folder."""
        tree = {
            "graph": graph_digest,
            "form": self.form,
            "top": self.top,
            "files": [file.relative_to(self.folder).as_posix() for file in self.files],
            "modules": dict(self.modules),
            "input": _value_to_json(self.input),
            "output": _value_to_json(self.output),
            "latency": self.latency,
            "interval": self.interval,
            "input_beats": self.input_beats,
            "output_beats": self.output_beats,
            "framed": self.framed,
            "load_beats": self.load_beats,
            "plan": None if self.plan is None else plan_to_json(self.plan),
        }
        return json.dumps(tree, indent=1) + "\n"


def load_design(folder: str | os.PathLike[str]) -> Design:
    """The design that `emit` wrote to a folder.

    Raises StorageError where there is none, or one that is not whole.
    """
    path = Path(folder)
    try:
        tree = json.loads((path / "design.json").read_text(encoding="utf-8"))
        files = tuple(path / str(name) for name in tree["files"])
        for file in files:
            if not file.resolve().is_relative_to(path.resolve()):
                raise StorageError(f"{path}/design.json names a file outside its folder: {file}")
            if not file.is_file():
                raise StorageError(f"{file} is missing: make the design again with 'bitwright rtl'")
        return Design(
            folder=path,
            top=str(tree["top"]),
            files=files,
            modules={str(node): str(module) for node, module in tree["modules"].items()},
            input=_value_from_json(tree["input"]),
            output=_value_from_json(tree["output"]),
            latency=int(tree["latency"]),
            interval=int(tree["interval"]),
            input_beats=int(tree["input_beats"]),
            output_beats=int(tree["output_beats"]),
            framed=bool(tree["framed"]),
            load_beats=int(tree["load_beats"]),
            plan=None if tree["plan"] is None else plan_from_json(tree["plan"]),
            form=str(tree["form"]),
        )
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BitwrightError) as error:
        raise StorageError(
            f"{path} does not hold a design ({type(error).__name__}: {error}): make it with "
            "'bitwright rtl'"
        ) from None


def _part(value: Value, beats: int) -> Value:
    return value if beats == 1 else Value(value.name, (value.size // beats,), value.type)


def _value_to_json(value: Value) -> dict[str, Any]:
    return {"name": value.name, "shape": list(value.shape), "width": value.type.width,
            "signed": value.type.signed}  # fmt: skip


def _value_from_json(tree: dict[str, Any]) -> Value:
    kind = IntType(int(tree["width"]), bool(tree["signed"]))
    return Value(str(tree["name"]), tuple(int(n) for n in tree["shape"]), kind)
