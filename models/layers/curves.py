"""Rate-distortion curves: bit planes beside the honest baseline, uniform with its best clip."""

import math
from typing import Literal

import numpy as np

from bitwright.models.errors import InputError
from bitwright.models.layers.plane_selection import (
    PlaneStatistics,
    best_selections,
    integer_quantiser,
    lasso_selections,
    power_of_two_selections,
)
from bitwright.models.layers.rate_distortion import (
    MAX_SOURCE_BITS,
    Activations,
    BitQuantiser,
    Curve,
    Point,
)

Coefficients = Literal["general", "power_of_two", "lasso"]

_STEPS = 256  # uniform steps that are tried before the best few are refined


def rate_distortion(
    data: Activations,
    scale: float,
    source_bits: int,
    *,
    coefficients: Coefficients = "general",
    fraction_bits: int | None = None,
    peak: float | None = None,
    activations: int = 1,
    power_of_two_scale: bool = False,
) -> Curve:
    """The curve of a layer's activations, both kinds at every number of bits up to the source's.

    scale, source_bits: of the source, see `BitQuantiser`; the uniform quantisers find their own
    step (a power of two if power_of_two_scale). coefficients: "general" is exact least squares,
    "lasso" the paper's. fraction_bits: of the coefficients, see `integer_quantiser`. peak: PSNR's;
    the largest sample by default. activations: how many one inference makes.

    Raises InputError for a scale, width, peak or fraction bits that make no sense.
    """
    top = data.peak if peak is None else peak
    if not (math.isfinite(top) and top > 0):
        raise InputError(f"a PSNR's peak of {top} is not above 0")
    statistics = PlaneStatistics.of(data, scale, source_bits)
    if coefficients == "general":
        selections = best_selections(statistics)
    elif coefficients == "power_of_two":
        selections = power_of_two_selections(statistics)
    else:
        selections = tuple(found.shrunk for found in lasso_selections(statistics))
    planes = []
    for selection in selections:
        # Powers of two are integers once the smallest is: rounding them would change their worth.
        exact = -math.floor(math.log2(selection.coefficients.min()))
        f = exact if coefficients == "power_of_two" else fraction_bits
        made = integer_quantiser(statistics, selection, f)
        planes.append(Point.measured("bitplanes", made, data, top))
    uniform = []
    for bits in range(1, source_bits + 1):
        step = best_step(data, bits, power_of_two_scale)
        made = BitQuantiser.uniform(step, bits)
        uniform.append(Point.measured("uniform", made, data, top))
    return Curve(tuple(planes), tuple(uniform), top, data.energy, activations)


def best_step(data: Activations, bits: int, power_of_two: bool = False) -> float:
    """The step, a float32, of the uniform `bits`-bit quantiser with the least MSE: its best clip.

    Steps from 1/64 to 2 times that of no clipping are tried, the best few then refined as Lloyd
    does: the best step for the codes, the codes for that step, until nothing changes.
    """
    if not 1 <= bits <= MAX_SOURCE_BITS:
        raise InputError(f"a uniform quantiser of {bits} bits: choose from 1 to {MAX_SOURCE_BITS}")
    unclipped, sums = data.peak / ((1 << bits) - 1), _Sums(data)
    if power_of_two:
        exponent = math.ceil(math.log2(unclipped))
        powers = [math.ldexp(1.0, exponent - i) for i in range(-1, 8)]
        return min(powers, key=lambda step: sums.uniform(step, bits)[0])
    tried = [float(step) for step in np.geomspace(1 / 64, 2, _STEPS) * unclipped]
    tried.sort(key=lambda step: sums.uniform(step, bits)[0])
    singles = {float(np.float32(sums.refined(step, bits))) for step in tried[:6]}
    return min(singles, key=lambda step: sums.uniform(step, bits)[0])


def full_scale_step(data: Activations, bits: int, power_of_two: bool = False) -> float:
    """The step, a float32, with which `bits` bits reach the largest sample: a source's scale.

    The smallest such power of two if asked for.
    """
    step = data.peak / ((1 << bits) - 1)
    return math.ldexp(1.0, math.ceil(math.log2(step))) if power_of_two else float(np.float32(step))


class _Sums:
    """Running sums over ascending samples: a few of them give any uniform quantiser's error."""

    def __init__(self, data: Activations) -> None:
        self._values, share = data.values, data.counts / data.counts.sum()
        self._below = np.concatenate([[0.0], np.cumsum(share)])
        self._sum_below = np.concatenate([[0.0], np.cumsum(share * data.values)])
        self._energy = data.energy

    def uniform(self, step: float, bits: int) -> tuple[float, float]:
        """The MSE of a uniform quantiser, and the step that would suit its codes best."""
        # Code q >= 1 is reached from (q - 1/2) * step on. A tie is as far from both neighbours, so
        # that its rounding does not matter here. Sums by parts: q^2 - (q - 1)^2 = 2 * q - 1.
        levels = np.arange(1, 1 << bits)
        first = np.searchsorted(self._values, (levels - 0.5) * step)
        reached = self._below[-1] - self._below[first]
        overlap = float((self._sum_below[-1] - self._sum_below[first]).sum())
        power = float((2 * levels - 1) @ reached)
        mse = max(self._energy - 2 * step * overlap + step**2 * power, 0.0)
        return mse, overlap / power if power else step

    def refined(self, step: float, bits: int) -> float:
        mse, better = self.uniform(step, bits)
        for _ in range(40):
            next_mse, next_better = self.uniform(better, bits)
            if not next_mse < mse:
                break
            step, mse, better = better, next_mse, next_better
        return step
