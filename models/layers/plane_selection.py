"""Which bit planes to keep, and with what coefficients: exact best-subset least squares.

Bitwise Bottleneck (AAAI 2021) expands x over its bits, x ~ scale * sum of alpha_i * bit_i with
alpha >= 0, and calls the number of non-zero alpha the code rate. Its authors find them with a
positive Lasso (`lasso_selections`), which shrinks what it keeps; with B planes there are only 2^B
subsets, and one B x B Gram matrix says everything about all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Lasso

from bitwright.models.errors import InputError
from bitwright.models.graph import IntArray
from bitwright.models.layers.rate_distortion import Activations, BitQuantiser, Reals

_COUNTS_AS_ZERO = 1e-12  # of the energy: what is left of sums that cancel
_ROUNDED_EXHAUSTIVELY = 8  # planes, 2^8 ways to round: beyond, where sources are fine, the nearest
_ROUNDING_LOSS = 10 ** (0.1 / 10)  # rounding coefficients may cost 0.1 dB


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """Planes with real coefficients in units of the scale, and their MSE in squared units of it.

    The MSE is that without rounding the coefficients.
    """

    planes: tuple[int, ...]
    coefficients: Reals
    mse: float


@dataclass(frozen=True, eq=False, slots=True)
class PlaneStatistics:
    """Second moments of y = x / scale and the bits of u = clip(round(y)): all that selection needs.

    gram[i, j]: mean of bit_i * bit_j. cross[i]: mean of bit_i * y. energy: mean of y^2.
    codes, weights, means: each u that occurs, its share of the samples, the mean y of those.
    """

    scale: float
    source_bits: int
    gram: Reals
    cross: Reals
    energy: float
    codes: IntArray
    weights: Reals
    means: Reals

    @classmethod
    def of(cls, data: Activations, scale: float, source_bits: int) -> "PlaneStatistics":
        """Raises InputError for a scale or width that `BitQuantiser` refuses."""
        u = BitQuantiser.uniform(scale, source_bits).source(data.values)
        y = data.values / scale
        codes, inverse = np.unique(u, return_inverse=True)
        weights = np.bincount(inverse, data.counts) / data.counts.sum()
        means = np.bincount(inverse, data.counts * y) / data.counts.sum() / weights
        bits = _bits_of(codes, source_bits)
        weighted = bits * weights[:, None]
        gram, cross = bits.T @ weighted, weighted.T @ means
        return cls(scale, source_bits, gram, cross, data.mean(y**2), codes, weights, means)

    def mse(self, planes: Sequence[int], coefficients: npt.NDArray[np.floating]) -> float:
        """Of planes with coefficients, in squared units of the scale."""
        rows = list(planes)
        explained = 2 * self.cross[rows] - self.gram[np.ix_(rows, rows)] @ coefficients
        return self._cleaned(self.energy - float(coefficients @ explained))

    def _cleaned(self, mse: float) -> float:
        return mse if mse > _COUNTS_AS_ZERO * self.energy else 0.0


def best_selections(statistics: PlaneStatistics) -> tuple[Selection, ...]:
    """The best planes and coefficients for every number of planes, ascending.

    Exact: the optimum over non-negative coefficients on at most k planes is an unconstrained least
    squares solution on those of its planes that are not zero, so it is among the subsets whose
    unconstrained solution is positive. A number of planes that cannot improve on fewer is left out.
    """
    made: list[Selection] = []
    for subsets, solutions, mses in _solutions(statistics):
        allowed = np.flatnonzero((solutions > 0).all(axis=1))
        if not len(allowed):
            continue
        best = allowed[np.argmin(mses[allowed])]
        mse = statistics._cleaned(float(mses[best]))
        if not made or mse < made[-1].mse:
            made.append(Selection(tuple(subsets[best].tolist()), solutions[best], mse))
    return tuple(made)


def power_of_two_selections(statistics: PlaneStatistics) -> tuple[Selection, ...]:
    """As `best_selections`, with every coefficient a power of two, which is wiring in hardware.

    For every subset, each least-squares coefficient is rounded down or up, all combinations are
    tried (of up to 8 planes), and the best one is improved plane by plane, refitted to what the
    others leave, until nothing changes. That is nearly always the best choice of powers.
    """
    made: list[Selection] = []
    for subsets, solutions, _ in _solutions(statistics):
        best: Selection | None = None
        for subset, solution in zip(subsets, solutions, strict=True):
            if (solution > 0).all():
                found = _powers(statistics, tuple(subset.tolist()), solution)
                best = found if best is None or found.mse < best.mse else best
        if best is not None and (not made or best.mse < made[-1].mse):
            made.append(best)
    return tuple(made)


@dataclass(frozen=True, eq=False, slots=True)
class LassoSelection:
    """Planes that the Lasso keeps at one penalty, before and after an unshrunk refit.

    shrunk: the Lasso's own coefficients. refitted: least squares on the same planes.
    """

    penalty: float
    shrunk: Selection
    refitted: Selection

    @property
    def loss(self) -> float:
        """What shrinkage (and dropping the intercept) costs, in dB."""
        if self.shrunk.mse == self.refitted.mse:
            return 0.0
        return float(10 * np.log10(self.shrunk.mse / self.refitted.mse))


def lasso_selections(
    statistics: PlaneStatistics,
    penalties: Sequence[float] | None = None,
    fit_intercept: bool = True,
) -> tuple[LassoSelection, ...]:
    """The paper's selection: positive Lasso over a grid of penalties, the best for each rate.

    penalties: lambda, in units of the scale squared; 60 from 1e-4 of the one that keeps nothing by
    default. fit_intercept: the authors' code fits an intercept and then drops it; False does not.
    The fit is to the mean of each code's samples, weighted, which is the same as to all samples.
    """
    top = float(statistics.cross.max())
    grid = [top * 10 ** (-4 * i / 59) for i in range(60)] if penalties is None else list(penalties)
    if min(grid, default=0) <= 0:
        raise InputError(f"Lasso penalties {grid} are not all above 0: give at least one")
    bits = _bits_of(statistics.codes, statistics.source_bits)
    made: dict[int, LassoSelection] = {}
    for penalty in grid:
        lasso = Lasso(penalty, positive=True, fit_intercept=fit_intercept, max_iter=20_000)
        lasso.fit(bits, statistics.means, sample_weight=statistics.weights)
        planes = np.flatnonzero(lasso.coef_ > 0)
        if not len(planes):
            continue
        kept = tuple(planes.tolist())
        own = lasso.coef_[planes]
        shrunk = Selection(kept, own, statistics.mse(kept, own))
        found = LassoSelection(penalty, shrunk, _refit(statistics, kept, shrunk))
        before = made.get(len(kept))
        if before is None or shrunk.mse < before.shrunk.mse:
            made[len(kept)] = found
    return tuple(made[k] for k in sorted(made))


def integer_quantiser(
    statistics: PlaneStatistics, selection: Selection, fraction_bits: int | None = None
) -> BitQuantiser:
    """A selection with integer coefficients a_i = round(alpha_i * 2^f), ties to even.

    fraction_bits: f; without one the smallest (it may be negative) that keeps every plane and
    costs at most 0.1 dB. Raises InputError where a given f rounds a coefficient to 0.
    """
    powers = range(-int(np.log2(selection.coefficients.max())) - 1, 24)
    for f in powers if fraction_bits is None else [fraction_bits]:
        rounded = np.rint(np.ldexp(selection.coefficients, f))
        if rounded.min() < 1:
            continue
        mse = statistics.mse(selection.planes, np.ldexp(rounded, -f))
        coarse = fraction_bits is None and mse > selection.mse * _ROUNDING_LOSS
        if coarse and f < powers[-1] and np.ldexp(selection.coefficients, f + 1).sum() < 1 << 23:
            continue
        return BitQuantiser(
            statistics.scale,
            statistics.source_bits,
            selection.planes,
            tuple(int(a) for a in rounded),
            f,
        )
    raise InputError(
        f"coefficients {selection.coefficients.round(4).tolist()} become 0 with {fraction_bits} "
        "fraction bits: use more"
    )


def _solutions(statistics: PlaneStatistics) -> Iterator[tuple[IntArray, Reals, Reals]]:
    """For every number k of planes: (subsets, k) planes, (subsets, k) least squares, (subsets,)."""
    used = np.flatnonzero(np.diag(statistics.gram) > 0)
    for k in range(1, len(used) + 1):
        subsets = used[np.array(list(combinations(range(len(used)), k)))]
        grams = statistics.gram[subsets[:, :, None], subsets[:, None, :]]
        crosses = statistics.cross[subsets]
        # A pseudo-inverse, because planes that always agree make a Gram matrix singular.
        solutions = (np.linalg.pinv(grams, hermitian=True) @ crosses[..., None])[..., 0]
        yield subsets, solutions, statistics.energy - (solutions * crosses).sum(axis=1)


def _powers(statistics: PlaneStatistics, planes: tuple[int, ...], real: Reals) -> Selection:
    rows = list(planes)
    gram, cross = statistics.gram[np.ix_(rows, rows)], statistics.cross[rows]
    below = np.exp2(np.floor(np.log2(real)))
    if len(rows) <= _ROUNDED_EXHAUSTIVELY:
        choices = below * np.array(list(product((1.0, 2.0), repeat=len(rows))))
    else:
        choices = np.where(real < 1.5 * below, below, 2 * below)[None]
    cost = np.einsum("ci,ij,cj->c", choices, gram, choices) - 2 * choices @ cross
    best: Reals = choices[np.argmin(cost)].copy()
    for _ in range(32):
        before = best.copy()
        for i in range(len(rows)):
            alone = (cross[i] - gram[i] @ best) / gram[i, i] + best[i]
            if alone > 0:
                # Of a parabola's two neighbours the nearer to its vertex is the better.
                low = float(np.exp2(np.floor(np.log2(alone))))
                best[i] = low if alone - low <= 2 * low - alone else 2 * low
        if np.array_equal(before, best):
            break
    return Selection(planes, best, statistics.mse(planes, best))


def _refit(statistics: PlaneStatistics, planes: tuple[int, ...], fallback: Selection) -> Selection:
    rows = list(planes)
    solution = np.linalg.pinv(statistics.gram[np.ix_(rows, rows)], hermitian=True)
    refitted: Reals = solution @ statistics.cross[rows]
    if not (refitted > 0).all():
        return fallback
    return Selection(planes, refitted, statistics.mse(planes, refitted))


def _bits_of(codes: IntArray, source_bits: int) -> Reals:
    made: Reals = (codes[:, None] >> np.arange(source_bits) & 1).astype(np.float64)
    return made
