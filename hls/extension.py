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


class _Extension(layers.Layer):  # type: ignore[misc]  # hls4ml is not typed
    """A layer of sizes, constants and types.

    Its result has the shape in its attributes, (n_out,), or its input's shape.
    """

    function: str
    """The C++ function nnet::<function> in nnet_<function>.h, configured by <function>_config."""
    sizes: tuple[str, ...]
    constants: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    """What else has a type of its own, which the configuration calls <name>_t."""

    def initialize(self) -> None:
        dense = "n_out" in self.sizes
        shape = [self.get_attr("n_out")] if dense else self.get_input_variable().shape
        self.add_output_variable(self.get_attr("shape", shape))
        for name in self.constants:
            self.add_weights_variable(name=name, var_name=f"{name}{{index}}")
        for name in self.inner:
            self._set_type_t(name)


def _attributes(
    sizes: tuple[str, ...], constants: tuple[str, ...] = (), inner: tuple[str, ...] = ()
) -> list[Attribute]:
    return [
        *(Attribute(name) for name in sizes),
        *(WeightAttribute(name) for name in constants),
        *(TypeAttribute(name) for name in (*constants, *inner)),
    ]


class BitwrightTiledDense(_Extension):
    """The operation `Dense` with the codec `Tiled`."""

    function = "tiled_dense"
    sizes = ("n_in", "n_out", "n_tile", "n_rows")
    constants = ("tile", "bias")
    inner = ("accum",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightCodebookDense(_Extension):
    """The operation `Dense` with the codec `Codebook`."""

    function = "codebook_dense"
    sizes = ("n_in", "n_out", "n_groups", "n_entries")
    constants = ("indices", "table", "bias")
    inner = ("accum",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightThreshold(_Extension):
    """The operation `Threshold`."""

    function = "threshold"
    sizes = ("n_in", "n_channels", "n_levels")
    constants = ("thresholds", "base", "step")
    inner = ("accum",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightRequantize(_Extension):
    """The operation `Requantize`."""

    function = "requantize"
    sizes = ("n_in", "n_channels", "shift")
    constants = ("multiplier", "bias")
    inner = ("accum",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightLookup(_Extension):
    """The operation `Lookup`."""

    function = "lookup"
    sizes = ("n_in", "n_channels", "n_entries", "offset")
    constants = ("table",)
    inner = ("index",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightBitPlanes(_Extension):
    """The operation `BitPlanes`."""

    function = "bit_planes"
    sizes = ("n_in", "n_planes")
    constants = ("planes",)
    _expected_attributes = _attributes(sizes, constants)


_WINDOW = (
    *("in_height", "in_width", "n_chan", "out_height", "out_width"),
    *("filt_height", "filt_width", "stride_height", "stride_width"),
    *("pad_top", "pad_bottom", "pad_left", "pad_right"),
)
"""hls4ml's own names, so that its convolutions read as ours do."""


class BitwrightWindowConv(_Extension):
    """The operation `Conv2d` where hls4ml's convolution is wrong, missing or wasteful."""

    function = "window_conv"
    sizes = (*_WINDOW, "n_filt", "n_groups", "n_sums", "n_stored")
    constants = ("weight", "bias")
    inner = ("accum",)
    _expected_attributes = _attributes(sizes, constants, inner)


class BitwrightMaxPool(_Extension):
    """The operation `MaxPool` where hls4ml's pool is wrong."""

    function = "max_pool"
    sizes = _WINDOW
    _expected_attributes = _attributes(sizes)


class BitwrightSumPool(_Extension):
    """The operation `SumPool`."""

    function = "sum_pool"
    sizes = _WINDOW
    _expected_attributes = _attributes(sizes)


class BitwrightScaledAdd(_Extension):
    """The operation `Add` of two inputs, one of them at least scaled."""

    function = "scaled_add"
    sizes = ("n_in",)
    constants = ("factors",)
    _expected_attributes = _attributes(sizes, constants)


class BitwrightReshape(_Extension):
    """The operation `Reshape`."""

    function = "reshape"
    sizes = ("n_in",)
    _expected_attributes = _attributes(sizes)


class BitwrightArgmax(_Extension):
    """The operation `ArgMax`."""

    function = "argmax"
    sizes = ("n_in", "n_channels")
    inner = ("index",)
    _expected_attributes = _attributes(sizes, inner=inner)


class BitwrightFlatten(layers.Reshape):  # type: ignore[misc]  # hls4ml is not typed
    """A stream that is read as one vector: hls4ml's passes give its input a second name.

    A class of its own because hls4ml traces only layers that call something.
    """


LAYERS: tuple[type[_Extension], ...] = (
    BitwrightTiledDense,
    BitwrightCodebookDense,
    BitwrightThreshold,
    BitwrightRequantize,
    BitwrightLookup,
    BitwrightBitPlanes,
    BitwrightWindowConv,
    BitwrightMaxPool,
    BitwrightSumPool,
    BitwrightScaledAdd,
    BitwrightReshape,
    BitwrightArgmax,
)


class _Config(LayerConfigTemplate):  # type: ignore[misc]  # hls4ml is not typed
    """The C++ struct of sizes and types with which a layer's function is instantiated."""

    def __init__(self, layer: type[_Extension]) -> None:
        super().__init__(layer)
        self._layer = layer

    def format(self, node: Any) -> str:
        sizes = {name: node.get_attr(name) for name in (*self._layer.sizes, "reuse_factor")}
        types = {f"{n}_t": node.get_weights(n).type.name for n in self._layer.constants}
        types |= {f"{n}_t": node.get_attr(f"{n}_t").name for n in self._layer.inner}
        lines = [
            f"struct config{node.index} : nnet::{self._layer.function}_config {{",
            *(f"    static const unsigned {name} = {size};" for name, size in sizes.items()),
            *(f"    typedef {kind} {name};" for name, kind in types.items()),
            "};\n",
        ]
        return "\n".join(lines)


class _Call(FunctionCallTemplate):  # type: ignore[misc]  # hls4ml is not typed
    """The call of a layer's function in the top function."""

    def __init__(self, layer: type[_Extension]) -> None:
        super().__init__(layer, include_header=[f"nnet_utils/nnet_{layer.function}.h"])
        self._layer = layer

    def format(self, node: Any) -> str:
        tensors = [*map(node.get_input_variable, node.inputs), node.get_output_variable()]
        types = ", ".join([*(tensor.type.name for tensor in tensors), f"config{node.index}"])
        constants = [node.get_weights(name).name for name in self._layer.constants]
        arguments = ", ".join([*(tensor.name for tensor in tensors), *constants])
        return f"nnet::{self._layer.function}<{types}>({arguments});"


class _NoCall(FunctionCallTemplate):  # type: ignore[misc]  # hls4ml is not typed
    """Nothing to do at run time: a comment, but one after which hls4ml traces."""

    def __init__(self) -> None:
        super().__init__(BitwrightFlatten, include_header=[])

    def format(self, node: Any) -> str:
        return f"// {node.get_output_variable().name} is {node.get_input_variable().name}"


@cache
def register(backend: str) -> None:
    """Make the layers known to hls4ml and to one of its back ends, once per process."""
    target = get_backend(backend)
    for layer in LAYERS:
        layers.register_layer(layer.__name__, layer)
        target.register_template(partial(_Config, layer))
        target.register_template(partial(_Call, layer))
        target.register_source(Path(__file__).with_name(f"nnet_{layer.function}.h"))
    layers.register_layer(BitwrightFlatten.__name__, BitwrightFlatten)
    target.register_template(_NoCall)
    for shared in ("nnet_pixels.h", "nnet_windows.h"):
        target.register_source(Path(__file__).with_name(shared))
