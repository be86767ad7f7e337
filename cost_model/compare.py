"""Estimate beside measurement: the errors as plain data, for reports to print."""

from dataclasses import dataclass

from bitwright.cost_model.cost import Cost, Estimate, Measurement
from bitwright.models.errors import InputError


@dataclass(frozen=True, slots=True)
class Comparison:
    """One node, or the total. An error is (estimated - measured) / measured, a share of one."""

    name: str
    estimated: Cost
    measured: Cost

    @property
    def errors(self) -> dict[str, float | None]:
        """By resource; 0 where both counts are 0, None where only the measured one is."""
        return {
            resource: _error(estimated, self.measured.as_dict()[resource])
            for resource, estimated in self.estimated.as_dict().items()
        }


def compare(estimate: Estimate, measurement: Measurement) -> list[Comparison]:
    """Node by node in the estimate's order, then one named "total".

    Raises InputError where the two are not of the same nodes and target.
    """
    if estimate.target != measurement.target or estimate.nodes.keys() != measurement.nodes.keys():
        raise InputError(
            f"an estimate of {', '.join(estimate.nodes)} on {estimate.target} cannot be compared "
            f"with a measurement of {', '.join(measurement.nodes)} on {measurement.target}"
        )
    rows = [
        Comparison(name, cost, measurement.nodes[name]) for name, cost in estimate.nodes.items()
    ]
    return [*rows, Comparison("total", estimate.total, measurement.total)]


def _error(estimated: int, measured: int) -> float | None:
    if measured == 0:
        return 0.0 if estimated == 0 else None
    return (estimated - measured) / measured
