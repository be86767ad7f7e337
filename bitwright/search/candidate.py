"""Candidates: networks that could be made, as values to be compared, hashed and stored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bitwright.models.errors import StorageError

Scalar = int | float | str | bool
Value = Scalar | tuple[Scalar, ...]

Kind = Literal["start", "candidate", "tables", "final"]
"""What is to be done for a candidate: train the float network that it starts from; train it
shortly, plan and estimate it; measure the tables of an integer program; or train it in full."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and how it becomes hardware.

    arguments: of the network's function, sorted by name; a tuple has a value for each layer.
    sparsity: shares of weights pruned by magnitude, by the layers' paths. interval: cycles between
    two inputs for which layers are folded; 1 is unrolled. pressure: weight of the differentiable
    cost in the loss, under which the bits of weights and activations are learned; 0 keeps those of
    the arguments.
    """

    arguments: tuple[tuple[str, Value], ...] = ()
    sparsity: tuple[tuple[str, float], ...] = ()
    interval: int = 1
    pressure: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "arguments": dict(self.arguments),
            "sparsity": dict(self.sparsity),
            "interval": self.interval,
            "pressure": self.pressure,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Candidate":
        """The candidate that `as_dict` described. Raises StorageError for anything else."""
        try:
            arguments = {
                str(k): tuple(v) if isinstance(v, (list, tuple)) else v
                for k, v in given["arguments"].items()
            }
            made = cls(
                tuple(sorted(arguments.items())),
                tuple(sorted((str(k), float(v)) for k, v in given["sparsity"].items())),
                int(given["interval"]),
                float(given["pressure"]),
            )
            hash(made)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"{given!r} is no candidate ({type(error).__name__}: {error}): take one that a "
                "study has stored"
            ) from None
        return made

    def __str__(self) -> str:
        def told(value: object) -> str:
            return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)

        words = [f"{name} {told(value)}" for name, value in self.arguments]
        words += [f"{path} {share:.0%} pruned" for path, share in self.sparsity if share]
        words += [f"1 in {self.interval} cycles"] if self.interval > 1 else []
        words += [f"pressure {self.pressure:g}"] if self.pressure else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done once, whose result is a row of the study."""

    kind: Kind
    candidate: Candidate

    def __post_init__(self) -> None:
        assert self.kind in get_args(Kind)

    def key(self, context: str) -> str:
        """What the row is known by. context: whatever else the result depends on, as text."""
        told = [context, self.kind, self.candidate.as_dict()]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
