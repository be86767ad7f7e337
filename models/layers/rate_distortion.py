"""Rate and distortion of activations: what so many bits each, as bit planes or uniform, must lose.

Samples are kept as their distinct values and how often each occurs, so that behind a quantiser of
a few bits a million of them are a few numbers, and every sum below is over those.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError
from bitwright.models.graph import BitPlanes, IntArray, Lookup

Reals = npt.NDArray[np.float64]
Kind = Literal["bitplanes", "uniform"]

MAX_SOURCE_BITS = 16
_FLOAT32 = 2.0**-46  # a relative error of 2^-23, squared
_EXACT = 1 << 24  # integers below this are exact in float32, in which layers compute


@dataclass(frozen=True, eq=False, slots=True)
class Activations:
    """Non-negative activations: their distinct values, ascending, and how often each occurs."""

    values: Reals
    counts: IntArray

    @classmethod
    def of(cls, samples: npt.ArrayLike) -> "Activations":
        """Samples of any shape. Raises InputError if empty, all zero, negative or not finite."""
        return cls.joined([np.asarray(samples, np.float64).ravel()])

    @classmethod
    def joined(cls, batches: Iterable[npt.NDArray[np.floating]]) -> "Activations":
        """The samples of several batches, each of any shape. Raises as `of`."""
        parts = [np.unique(np.asarray(b, np.float64), return_counts=True) for b in batches]
        every = np.concatenate([np.zeros(0), *(values for values, _ in parts)])
        if not np.isfinite(every).all():
            raise InputError("activations hold NaN or infinity: look for it in the network")
        if not every.size or every.max() <= 0:
            raise InputError(
                f"{every.size} distinct activations, none above 0, say nothing about their bits: "
                "calibrate with other data, or take this dead layer out"
            )
        if every.min() < 0:
            raise InputError(
                f"activations go down to {every.min():g}: a bottleneck takes non-negative ones, "
                "so put it behind a ReLU"
            )
        values, inverse = np.unique(every, return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, inverse, np.concatenate([counts for _, counts in parts]))
        return cls(values, counts)

    @property
    def peak(self) -> float:
        """The largest sample."""
        return float(self.values[-1])

    @property
    def energy(self) -> float:
        """Mean square."""
        return self.mean(self.values**2)

    def mean(self, of_values: npt.NDArray[np.floating]) -> float:
        """Mean over all samples of something that is given for every distinct value."""
        return float(of_values @ self.counts.astype(np.float64)) / int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class BitQuantiser:
    """x becomes scale * 2^-fraction_bits * sum over j of coefficients[j] * bit planes[j] of u.

    u = clip(round(x / scale), 0, 2^source_bits - 1), ties to even. The uniform quantiser of k bits
    is the one with all k planes and coefficients 1, 2, 4, …. scale: a float32, above 0. planes:
    ascending. coefficients: integers above 0. fraction_bits may be negative.

    Raises InputError where one of these is not so, or sums are too large for float32.
    """

    scale: float
    source_bits: int
    planes: tuple[int, ...]
    coefficients: tuple[int, ...]
    fraction_bits: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.source_bits <= MAX_SOURCE_BITS:
            raise InputError(
                f"a source of {self.source_bits} bits: choose from 1 to {MAX_SOURCE_BITS}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a bottleneck's scale of {self.scale} is not above 0")
        if float(np.float32(self.scale)) != self.scale:
            raise InputError(f"a bottleneck's scale of {self.scale!r} is not a float32: round it")
        within = all(0 <= plane < self.source_bits for plane in self.planes)
        if not self.planes or not within or self.planes != tuple(sorted(set(self.planes))):
            raise InputError(
                f"bit planes {self.planes} are not ascending numbers of the {self.source_bits} "
                "source bits"
            )
        if len(self.coefficients) != len(self.planes) or min(self.coefficients) < 1:
            raise InputError(
                f"coefficients {self.coefficients} of planes {self.planes}: give one integer above "
                "0 for each"
            )
        if sum(self.coefficients) >= _EXACT or abs(self.fraction_bits) > 48:
            raise InputError(
                f"coefficients {self.coefficients} with {self.fraction_bits} fraction bits do not "
                "fit float32: use fewer fraction bits"
            )

    @classmethod
    def uniform(cls, step: float, bits: int) -> "BitQuantiser":
        """The uniform quantiser clip(round(x / step), 0, 2^bits - 1) * step."""
        return cls(step, bits, tuple(range(bits)), tuple(1 << i for i in range(bits)))

    @property
    def bits(self) -> int:
        """The code rate: bits that are kept of every activation."""
        return len(self.planes)

    @property
    def unit(self) -> float:
        """What an output of 1 means: scale * 2^-fraction_bits, exactly."""
        return math.ldexp(self.scale, -self.fraction_bits)

    @property
    def value_bits(self) -> int:
        """Width of the (unsigned) integers that come out, which the next layer multiplies."""
        return sum(self.coefficients).bit_length()

    @property
    def table(self) -> IntArray:
        """The integer that every combination of the kept bits becomes: shape (2^bits,)."""
        codes = np.arange(1 << self.bits)
        made: IntArray = (codes[:, None] >> np.arange(self.bits) & 1) @ np.array(self.coefficients)
        return made

    def source(self, x: npt.ArrayLike) -> IntArray:
        """u for every x. Exact for x in float32: float64 cannot round their quotient to a tie."""
        u = np.rint(np.asarray(x, np.float64) / self.scale)
        # Saturate before taking planes apart: the maximum would wrap around to 0.
        made: IntArray = u.clip(0, (1 << self.source_bits) - 1).astype(np.int64)
        return made

    def integers(self, x: npt.ArrayLike) -> IntArray:
        """What comes out for every x, in units of `unit`."""
        u = self.source(x)
        made = np.zeros_like(u)
        for plane, coefficient in zip(self.planes, self.coefficients, strict=True):
            made += coefficient * (u >> plane & 1)
        return made


def bottleneck_ops(quantiser: BitQuantiser) -> tuple[BitPlanes, Lookup]:
    """The graph's operations behind a `Threshold` or `Requantize` that makes u.

    `BitPlanes` keeps the selected bits, `Lookup` (one table for all channels) gives them their
    values, in units of `quantiser.unit`. For a uniform quantiser both change nothing.
    """
    return BitPlanes(quantiser.planes), Lookup(quantiser.table[None, :])


@dataclass(frozen=True, slots=True)
class Point:
    """One quantiser on a rate-distortion curve. mse: in squared units of x; psnr: dB."""

    kind: Kind
    quantiser: BitQuantiser
    mse: float
    psnr: float

    @classmethod
    def measured(
        cls, kind: Kind, quantiser: BitQuantiser, data: Activations, peak: float
    ) -> "Point":
        """The quantiser's true error on the samples, integer coefficients and saturation included.

        PSNR = 10 log10(peak^2 / MSE), infinite where nothing is lost but float32's last bits.
        """
        error = quantiser.integers(data.values) * quantiser.unit - data.values
        mse = data.mean(error**2)
        mse = mse if mse > data.energy * _FLOAT32 else 0.0
        return cls(kind, quantiser, mse, psnr(mse, peak))

    @property
    def bits(self) -> int:
        """The code rate."""
        return self.quantiser.bits


def psnr(mse: float, peak: float) -> float:
    """10 log10(peak^2 / MSE) in dB; infinite for an MSE of 0."""
    return math.inf if mse == 0 else 10 * math.log10(peak**2 / mse)


@dataclass(frozen=True, slots=True)
class Curve:
    """What a layer's activations lose at every rate, as bit planes and as uniform codes.

    bitplanes: at most one point per number of bits, ascending; a number that is missing would not
    have been better than the one below it. uniform: one point for every number of bits up to the
    source's. peak: that of PSNR. activations: how many one inference makes. energy: mean square.
    """

    bitplanes: tuple[Point, ...]
    uniform: tuple[Point, ...]
    peak: float
    energy: float
    activations: int = 1

    def baseline(self, bits: int) -> Point:
        """The uniform quantiser of so many bits and its best clip."""
        return self.uniform[bits - 1]

    def winner(self, point: Point) -> Kind:
        """Which is better at this point's rate: it or the baseline, which wins draws."""
        other = self.baseline(point.bits)
        return "uniform" if other.mse <= point.mse else point.kind

    def points(self, kinds: Sequence[Kind] = ("bitplanes", "uniform")) -> tuple[Point, ...]:
        """All points of some kinds, by ascending bits; the better first among equals."""
        every = {"uniform": self.uniform, "bitplanes": self.bitplanes}
        chosen = [p for kind in ("uniform", "bitplanes") if kind in kinds for p in every[kind]]
        return tuple(sorted(chosen, key=lambda p: (p.bits, p.mse)))

    def at_rate(self, bits: float, kinds: Sequence[Kind] = ("bitplanes",)) -> Point:
        """The best point of at most so many bits. Raises InputError below one bit."""
        points = [p for p in self.points(kinds) if p.bits <= bits]
        if not points:
            raise InputError(f"a code rate of {bits} bits keeps no bit: allow at least 1")
        return min(points, key=lambda p: p.mse)

    def at_psnr(self, floor: float, kinds: Sequence[Kind] = ("bitplanes",)) -> Point:
        """The point of fewest bits with at least this PSNR, in dB. Raises InputError if none."""
        for point in self.points(kinds):
            if point.psnr >= floor:
                return point
        best = max(p.psnr for p in self.points(kinds))
        raise InputError(
            f"no selection reaches a PSNR of {floor:g} dB, the best {best:.1f}: lower the floor, "
            "or give the source more bits"
        )
