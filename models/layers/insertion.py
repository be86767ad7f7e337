"""Bitwise bottlenecks into a trained network: calibrate curves, share out a rate, put layers in."""

import copy
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from brevitas.nn import QuantReLU
from brevitas.quant_tensor import IntQuantTensor
from rich.box import SIMPLE_HEAD
from rich.table import Table
from torch import Tensor, nn

from bitwright.models.errors import InputError
from bitwright.models.layers.allocation import Method, allocate
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.layers.curves import Coefficients, full_scale_step, rate_distortion
from bitwright.models.layers.rate_distortion import Activations, Curve, Kind, Point

_NAMES: dict[Kind, str] = {"bitplanes": "bit planes", "uniform": "uniform"}


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What was chosen behind one activation, beside the uniform quantiser of as many bits."""

    path: str
    curve: Curve
    chosen: Point

    @property
    def bitplanes(self) -> Point | None:
        """The bit planes at the chosen rate, whether chosen or not; None if fewer are as good."""
        return next((p for p in self.curve.bitplanes if p.bits == self.chosen.bits), None)

    @property
    def uniform(self) -> Point:
        """The honest baseline at the chosen rate."""
        return self.curve.baseline(self.chosen.bits)

    @property
    def winner(self) -> Kind:
        """Which has the smaller error at this rate; a draw is the baseline's."""
        planes = self.bitplanes
        return "uniform" if planes is None else self.curve.winner(planes)


@dataclass(frozen=True, slots=True)
class BottleneckReport:
    """All layers in the order of the network. rate: average bits kept per activation."""

    layers: tuple[LayerReport, ...]
    rate: float

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer for JSON; a PSNR is None where nothing is lost."""
        made = []
        for layer in self.layers:
            q, planes = layer.chosen.quantiser, layer.bitplanes
            made.append(
                {
                    "layer": layer.path,
                    "activations": layer.curve.activations,
                    "source_bits": len(layer.curve.uniform),
                    "quantiser_bits": q.source_bits,
                    "bits": q.bits,
                    "kind": layer.chosen.kind,
                    "scale": q.scale,
                    "planes": list(q.planes),
                    "coefficients": list(q.coefficients),
                    "fraction_bits": q.fraction_bits,
                    "value_bits": q.value_bits,
                    "peak": layer.curve.peak,
                    "psnr": _finite(layer.chosen.psnr),
                    "bitplanes_psnr": None if planes is None else _finite(planes.psnr),
                    "uniform_psnr": _finite(layer.uniform.psnr),
                    "winner": layer.winner,
                }
            )
        return made

    def table(self) -> Table:
        """The same for people, for every layer with what was not chosen beside what was."""
        table = Table(
            title=f"Bitwise bottlenecks at {self.rate:.2f} bits per activation",
            box=SIMPLE_HEAD,
            title_justify="left",
            title_style="bold",
        )
        for heading in ("behind", "activations", "bits"):
            table.add_column(heading)
        for heading in ("planes", "coefficients", "planes, dB", "uniform, dB", "better", "chosen"):
            table.add_column(heading, justify="right" if heading.endswith("dB") else "left")
        for layer in self.layers:
            cells = ["-", "-", "-"]
            if layer.bitplanes is not None:
                q = layer.bitplanes.quantiser
                unit = f" / {1 << q.fraction_bits}" if q.fraction_bits > 0 else ""
                numbers = [a << max(-q.fraction_bits, 0) for a in q.coefficients]
                cells = [
                    " ".join(map(str, q.planes)),
                    " ".join(map(str, numbers)) + unit,
                    _decibels(layer.bitplanes.psnr),
                ]
            table.add_row(
                layer.path,
                f"{layer.curve.activations:,}",
                f"{layer.chosen.bits} of {len(layer.curve.uniform)}",
                *cells,
                _decibels(layer.uniform.psnr),
                _NAMES[layer.winner],
                _NAMES[layer.chosen.kind],
            )
        return table


def insert(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    rate: float | None = None,
    psnr_floor: float | None = None,
    paths: Sequence[str] | None = None,
    source_bits: int | None = None,
    power_of_two_scale: bool = False,
    coefficients: Coefficients = "general",
    fraction_bits: int | None = None,
    kinds: Sequence[Kind] = ("bitplanes", "uniform"),
    method: Method = "ilp",
) -> tuple[nn.Module, BottleneckReport]:
    """A copy of a trained network with a bottleneck behind each activation, and why each is so.

    batches: inputs of the network, from whose activations (in eval mode, before any bottleneck)
    the curves are measured. Give either `rate`, the average bits per activation over the network,
    shared out by `method` (see `allocate`), or `psnr_floor`, in dB for every layer against its
    largest activation, reached with the fewest bits. kinds: ("bitplanes",) for bottlenecks only;
    by default the uniform quantiser is chosen where it is better.

    paths: the modules to follow; every QuantReLU and ReLU without. source_bits: of the source; by
    default the activation's own quantiser (its integers, scale and bits) is the source, and 8 bits
    that reach the largest sample where it has none, or one scale per channel.

    Each activation `act` becomes a Sequential of `activation` and `bottleneck`: `place` makes the
    same structure to load a state_dict into. Fine-tuning is ordinary training: coefficients are
    buffers and stay.

    Raises InputError for targets that cannot be reached, paths that do not exist, modules that run
    more than once per inference, signed activations, or no data.
    """
    if (rate is None) == (psnr_floor is None):
        raise InputError(f"rate {rate} and psnr_floor {psnr_floor}: give exactly one of the two")
    made, positions = place(model, paths)
    seen = _observe(model, positions, batches)
    curves = []
    for path in positions:
        activation = model.get_submodule(path)
        data, per_inference = seen[path]
        own = _own_source(activation) if source_bits is None else None
        if own is None:
            bits = 8 if source_bits is None else source_bits
            own = full_scale_step(data, bits, power_of_two_scale), bits
        curves.append(
            rate_distortion(
                data,
                *own,
                coefficients=coefficients,
                fraction_bits=fraction_bits,
                activations=per_inference,
                power_of_two_scale=power_of_two_scale,
            )
        )
    if rate is not None:
        points = allocate(curves, rate, method=method, kinds=kinds).points
    else:
        assert psnr_floor is not None
        points = tuple(curve.at_psnr(psnr_floor, kinds) for curve in curves)
    for path, point in zip(positions, points, strict=True):
        made.get_submodule(path).get_submodule("bottleneck").quantiser = point.quantiser  # type: ignore[assignment]
    counts = [curve.activations for curve in curves]
    reached = sum(n * p.bits for n, p in zip(counts, points, strict=True)) / sum(counts)
    layers = tuple(map(LayerReport, positions, curves, points))
    return made, BottleneckReport(layers, reached)


def place(
    model: nn.Module, paths: Sequence[str] | None = None
) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of a network with a bottleneck to load into behind each activation, and their paths.

    Raises InputError as `insert`.
    """
    made = copy.deepcopy(model)
    modules = dict(made.named_modules())
    there = [path for path, m in modules.items() if isinstance(m, BitwiseBottleneck)]
    if there:
        raise InputError(
            f"the network has bottlenecks already, as at {there[0]}: start from the network that "
            "they were put into"
        )
    if paths is None:
        paths = [path for path, m in modules.items() if isinstance(m, (QuantReLU, nn.ReLU))]
        # A QuantReLU has a ReLU inside.
        paths = [p for p in paths if not any(p.startswith(f"{other}.") for other in paths)]
    unknown = [path for path in paths if not path or path not in modules]
    if unknown or not paths:
        raise InputError(
            f"no activation to follow at {', '.join(unknown) or 'any path'}: the network has "
            f"{', '.join(path for path in modules if path) or 'no modules'}"
        )
    for path in paths:
        activation = modules[path]
        quantised = bool(getattr(activation, "return_quant_tensor", False))
        bottleneck = BitwiseBottleneck(return_quant_tensor=quantised)
        both = nn.Sequential(OrderedDict(activation=activation, bottleneck=bottleneck))
        both.train(activation.training)
        device = next((p.device for p in made.parameters()), torch.device("cpu"))
        parent, _, name = path.rpartition(".")
        setattr(made.get_submodule(parent), name, both.to(device))
    return made, tuple(paths)


def _observe(
    model: nn.Module, paths: Sequence[str], batches: Iterable[Tensor]
) -> dict[str, tuple[Activations, int]]:
    """The activations at each path, and how many one inference makes."""
    found: dict[str, list[np.ndarray[Any, Any]]] = {path: [] for path in paths}
    hooks = []
    for path in paths:

        def hook(_: nn.Module, __: object, output: Any, path: str = path) -> None:
            value = output.value if isinstance(output, IntQuantTensor) else output
            found[path].append(value.detach().cpu().numpy().copy())

        hooks.append(model.get_submodule(path).register_forward_hook(hook))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    rows = given = 0
    try:
        with torch.no_grad():
            for batch in batches:
                try:
                    model(batch)
                except Exception as error:
                    what = str(error).strip().splitlines()[:1]
                    raise InputError(
                        f"the network cannot run on rows of shape {tuple(batch.shape[1:])} "
                        f"({': '.join([type(error).__name__, *what])}): give data that fit it"
                    ) from error
                rows, given = rows + len(batch), given + 1
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in hooks:
            handle.remove()
    made = {}
    for path, outputs in found.items():
        if not rows or len(outputs) != given:
            raise InputError(
                f"{path} ran {len(outputs)} times for {given} batches of data: give data, and each "
                "bottleneck an activation module of its own that runs once"
            )
        try:
            data = Activations.joined(outputs)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        made[path] = data, int(data.counts.sum()) // rows
    return made


def _own_source(activation: nn.Module) -> tuple[float, int] | None:
    """(scale, bits) of an activation's unsigned per-tensor integer quantiser, if it has one."""
    proxy = getattr(activation, "act_quant", None)
    if proxy is None or not proxy.is_quant_enabled or proxy.is_signed:
        return None
    scale, zero_point, bits = proxy.scale(), proxy.zero_point(), proxy.bit_width()
    if scale is None or scale.numel() != 1 or bool((zero_point != 0).any()) or int(bits) > 16:
        return None
    return float(scale.detach().float()), int(bits)


def _finite(decibels: float) -> float | None:
    return decibels if math.isfinite(decibels) else None


def _decibels(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "exact"
