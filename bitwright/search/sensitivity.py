"""Sensitivity: how much the loss rises when a layer's weights or activations are quantised (HAWQ).

To second order a perturbation d costs d'Hd / 2, and for one that is spread evenly that is half the
trace of the Hessian times the mean square of d (HAWQ-V2, arXiv 1911.03852, section 3.1). Traces are
estimated by Hutchinson's probes: of v'Hv for random signs v the mean is the trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from brevitas import nn as qnn
from torch import Tensor, nn
from torch.nn import functional

from bitwright.search.network import weighted

PROBES = 24
ROWS = 512
_LEAST = 1e-9  # a trace that is estimated below 0 is none

ACTIVATIONS = (qnn.QuantIdentity, qnn.QuantReLU, qnn.QuantHardTanh, qnn.QuantSigmoid, qnn.QuantTanh)


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Of a float network: the traces by module, and what is compared with quantised ones.

    weights: float weights. inputs, outputs: of every activation on the rows, quantisers off.
    """

    traces: Mapping[str, float]
    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def of_weights(self, path: str, quantised: Tensor) -> float:
        """The loss that these weights in place of the float ones cost."""
        return self._loss(path, quantised - self.weights[path])

    def of_activation(self, path: str, module: nn.Module) -> float:
        """The loss that this quantiser in place of none costs."""
        with torch.no_grad():
            made = module(self.inputs[path])
        return self._loss(path, getattr(made, "value", made) - self.outputs[path])

    def _loss(self, path: str, error: Tensor) -> float:
        return 0.5 * self.traces[path] * float((error.detach() ** 2).mean())


def sensitivity(
    model: nn.Module, x: Tensor, y: Tensor, probes: int = PROBES, seed: int = 0
) -> Sensitivity:
    """Traces of a float network's Hessians, for weights and for activations (a row's mean).

    x, y: rows of the training set.
    """
    model.eval()
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    hooks = []
    for path, module in activations(model).items():

        def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor, path: str = path) -> Tensor:
            inputs[path] = given[0].detach()
            if not made.requires_grad:  # of the network's inputs
                made = made.detach().requires_grad_()
            outputs[path] = made
            return made

        hooks.append(module.register_forward_hook(keep))
    loss = functional.cross_entropy(model(x), y)
    for hook in hooks:
        hook.remove()
    weights = {path: m.weight for path, m in weighted(model).items()}
    places = {**weights, **outputs}
    slopes = torch.autograd.grad(loss, list(places.values()), create_graph=True)
    traces = dict.fromkeys(places, 0.0)
    chance = torch.Generator().manual_seed(seed)
    for (path, place), slope in zip(places.items(), slopes, strict=True):
        for _ in range(probes):
            v = torch.randint(0, 2, place.shape, generator=chance).to(place.dtype) * 2 - 1
            (curved,) = torch.autograd.grad(slope, place, v, retain_graph=True, allow_unused=True)
            if curved is not None:
                traces[path] += float((curved * v).sum()) / probes
    return Sensitivity(
        {path: max(trace, _LEAST) for path, trace in traces.items()},
        {path: weight.detach() for path, weight in weights.items()},
        inputs,
        {path: out.detach() for path, out in outputs.items()},
    )


def activations(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that quantise activations, by path, in order."""
    return {path: m for path, m in model.named_modules() if isinstance(m, ACTIVATIONS)}
