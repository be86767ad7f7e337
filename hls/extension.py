"""The layers that hls4ml does not have, in the form in which it takes extensions.

Imported only by functions that need it, because it imports hls4ml. The C++ is in nnet_*.h.
"""

from functools import cache, partial
from pathlib import Path
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model import layers
from hls4ml.model.attributes import Attribute, TypeAttribute, WeightAttribute


class _PerChannel(layers.Layer):  # type: ignore[misc]  # hls4ml is not typed
    """A layer whose result has the shape of its input, with constants for every channel."""

    function: str
    """The C++ function nnet::<function> in nnet_<function>.h, configured by <function>_config."""
    sizes: tuple[str, ...]
    constants: tuple[str, ...]

    def initialize(self) -> None:
        self.add_output_variable(self.get_input_variable().shape)
        for name in self.constants:
            self.add_weights_variable(name=name, var_name=f"{name}{{index}}")


def _attributes(sizes: tuple[str, ...], constants: tuple[str, ...]) -> list[Attribute]:
    return [
        *(Attribute(name) for name in sizes),
        *(WeightAttribute(name) for name in constants),
        *(TypeAttribute(name) for name in constants),
        TypeAttribute("accum"),
    ]


class BitwrightThreshold(_PerChannel):
    """The operation `Threshold`."""

    function = "threshold"
    sizes = ("n_in", "n_channels", "n_levels")
    constants = ("thresholds", "base", "step")
    _expected_attributes = _attributes(sizes, constants)


class BitwrightRequantize(_PerChannel):
    """The operation `Requantize`."""

    function = "requantize"
    sizes = ("n_in", "n_channels", "shift")
    constants = ("multiplier", "bias")
    _expected_attributes = _attributes(sizes, constants)


LAYERS: tuple[type[_PerChannel], ...] = (BitwrightThreshold, BitwrightRequantize)


class _Config(LayerConfigTemplate):  # type: ignore[misc]  # hls4ml is not typed
    """The C++ struct of sizes and types with which a layer's function is instantiated."""

    def __init__(self, layer: type[_PerChannel]) -> None:
        super().__init__(layer)
        self._layer = layer

    def format(self, node: Any) -> str:
        sizes = {name: node.get_attr(name) for name in (*self._layer.sizes, "reuse_factor")}
        types = {f"{n}_t": node.get_weights(n).type.name for n in self._layer.constants}
        types["accum_t"] = node.get_attr("accum_t").name
        lines = [
            f"struct config{node.index} : nnet::{self._layer.function}_config {{",
            *(f"    static const unsigned {name} = {size};" for name, size in sizes.items()),
            *(f"    typedef {kind} {name};" for name, kind in types.items()),
            "};\n",
        ]
        return "\n".join(lines)


class _Call(FunctionCallTemplate):  # type: ignore[misc]  # hls4ml is not typed
    """The call of a layer's function in the top function."""

    def __init__(self, layer: type[_PerChannel]) -> None:
        super().__init__(layer, include_header=[f"nnet_utils/nnet_{layer.function}.h"])
        self._layer = layer

    def format(self, node: Any) -> str:
        p = self._default_function_params(node)
        constants = [node.get_weights(name).name for name in self._layer.constants]
        types = f"{p['input_t']}, {p['output_t']}, {p['config']}"
        arguments = ", ".join([p["input"], p["output"], *constants])
        return f"nnet::{self._layer.function}<{types}>({arguments});"


@cache
def register(backend: str) -> None:
    """Make the layers known to hls4ml and to one of its back ends, once per process."""
    target = get_backend(backend)
    for layer in LAYERS:
        layers.register_layer(layer.__name__, layer)
        target.register_template(partial(_Config, layer))
        target.register_template(partial(_Call, layer))
        target.register_source(Path(__file__).with_name(f"nnet_{layer.function}.h"))
