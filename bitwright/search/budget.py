"""Budgets: what a network may cost, where it must fit, and by how much one that does not misses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bitwright.models.errors import InputError
from bitwright.models.graph import TARGETS, USUAL_MHZ, Target


@dataclass(frozen=True, slots=True)
class Device:
    """A device: its family, and how many of the family's own cells it has."""

    target: Target
    lut: int
    dsp: int
    bram: int


DEVICES: Mapping[str, Device] = {
    # Memory blocks of 36 (Xilinx), 18 (ECP5) and 4 kbit (iCE40).
    "ecp5-12k": Device("ecp5", 12_144, 28, 32),
    "ecp5-25k": Device("ecp5", 24_288, 28, 56),
    "ecp5-45k": Device("ecp5", 43_848, 72, 108),
    "ecp5-85k": Device("ecp5", 83_640, 156, 208),
    "ice40-hx8k": Device("ice40", 7_680, 0, 32),
    "ice40-up5k": Device("ice40", 5_280, 8, 30),
    "xc7a35t": Device("xc7", 20_800, 90, 50),
    "xc7a100t": Device("xc7", 63_400, 240, 135),
    "xc7z020": Device("xc7", 53_200, 220, 140),
}
"""From the makers' data sheets."""

LIMITS: Mapping[str, tuple[str, str]] = {
    "max_lut": ("lut", "look-up tables"),
    "max_ff": ("ff", "flip-flops"),
    "max_dsp": ("dsp", "multiplier blocks"),
    "max_bram": ("bram", "memory blocks"),
    "max_latency_ns": ("latency_ns", "ns of latency"),
    "max_interval": ("interval", "cycles between inputs"),
    "max_bits_per_activation": ("activation_bits", "bits per activation"),
}
"""Limits by the names that a space file has for them: the column that they limit, and its unit."""


@dataclass(frozen=True)
class Budget:
    """Where a network has to fit. limits: from `LIMITS`, by the column that they limit.

    intervals: cycles between two inputs to fold for; 1 is unrolled.
    """

    target: Target = "xc7"
    clock_mhz: float = USUAL_MHZ["xc7"]
    device: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    intervals: tuple[int, ...] = (1,)

    def excess(self, row: Mapping[str, Any]) -> dict[str, float]:
        """By how much a row's columns are above their limits; empty if it fits."""
        return {
            column: row[column] - limit
            for column, limit in self.limits.items()
            if row[column] > limit
        }

    def told(self) -> str:
        """In words."""
        where = f"{self.device or self.target} at {self.clock_mhz:g} MHz"
        units = dict(LIMITS.values())
        asked = [f"at most {limit:,g} {units[c]}" for c, limit in self.limits.items()]
        return ", ".join([where, *asked])


def read_budget(file: str, raw: Mapping[str, Any]) -> Budget:
    """The budget of a TOML table, whose keys are those of `LIMITS` and of `Budget`.

    A device limits what it has; a lower limit that is given as well holds. Raises InputError.
    """
    known = ["device", "target", "clock_mhz", "intervals", *LIMITS]
    if unknown := [key for key in raw if key not in known]:
        raise InputError(
            f"{file}: budget has unknown keys {', '.join(unknown)}: it may have {', '.join(known)}"
        )
    device = raw.get("device")
    if device is not None and device not in DEVICES:
        raise InputError(
            f"{file}: device {device!r} is not known: choose from {', '.join(DEVICES)}, or give "
            "target, max_lut, max_dsp and max_bram"
        )
    part = DEVICES[device] if device is not None else None
    target = raw.get("target", part.target if part else "xc7")
    if target not in TARGETS or (part is not None and target != part.target):
        raise InputError(
            f"{file}: target {target!r} does not go with device {device!r}: leave it out"
            if part is not None
            else f"{file}: target {target!r} is not one of {', '.join(TARGETS)}"
        )
    limits: dict[str, float] = {}
    if part is not None:
        limits = {"lut": part.lut, "dsp": part.dsp, "bram": part.bram}
    for key, (column, unit) in LIMITS.items():
        if key in raw:
            limit = _number(file, key, raw[key])
            if limit < 0:
                raise InputError(f"{file}: {key} = {limit}: give {unit} from 0 on")
            limits[column] = min(limit, limits.get(column, math.inf))
    clock = _number(file, "clock_mhz", raw.get("clock_mhz", USUAL_MHZ[target]))
    if not 1 <= clock <= 2000:
        raise InputError(f"{file}: clock_mhz = {clock:g} is outside 1..2000")
    intervals = raw.get("intervals", [1])
    if not (
        isinstance(intervals, list)
        and intervals
        and all(type(n) is int and n > 0 for n in intervals)
    ):
        raise InputError(
            f"{file}: intervals = {intervals!r}: give a list of cycles between two inputs, such as "
            "[1, 16]; 1 is unrolled"
        )
    return Budget(target, clock, device, limits, tuple(sorted(set(intervals))))


def _number(file: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{file}: budget.{key} = {value!r} is no number")
    return value
