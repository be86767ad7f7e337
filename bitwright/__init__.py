"""bitwright: from a Brevitas-trained mixed-precision network to checked RTL, and what it costs.

The names below are the public interface; each is imported when it is first used, because torch,
hls4ml and the adder-graph solver take seconds. The rooms are `bitwright.models`, `bitwright.hls`,
`bitwright.rtl_tb` and `bitwright.cost_model`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bitwright.models.errors import BitwrightError

if TYPE_CHECKING:
    from bitwright import cost_model, hls, models, rtl_tb
    from bitwright.cost_model import estimate, find_plan, make_plan, measure
    from bitwright.flow import Settings, run
    from bitwright.handover import hand_over
    from bitwright.inputs import Rows, load_rows, random_vectors
    from bitwright.models.graph import (
        Graph,
        Plan,
        dequantise,
        digest,
        evaluate,
        load,
        quantise,
        save,
        trace,
    )
    from bitwright.models.lower import compare, load_model, lower
    from bitwright.models.lower.onnx import lower_onnx
    from bitwright.rtl_tb import Design, bulk, emit, load_design

_ORIGINS = {
    "bitwright": ("cost_model", "hls", "models", "rtl_tb"),
    "bitwright.cost_model": ("estimate", "find_plan", "make_plan", "measure"),
    "bitwright.flow": ("Settings", "run"),
    "bitwright.handover": ("hand_over",),
    "bitwright.inputs": ("Rows", "load_rows", "random_vectors"),
    "bitwright.models.graph": (
        "Graph",
        "Plan",
        "dequantise",
        "digest",
        "evaluate",
        "load",
        "quantise",
        "save",
        "trace",
    ),
    "bitwright.models.lower": ("compare", "load_model", "lower"),
    "bitwright.models.lower.onnx": ("lower_onnx",),
    "bitwright.rtl_tb": ("Design", "bulk", "emit", "load_design"),
}
_WHERE = {name: module for module, names in _ORIGINS.items() for name in names}

__all__ = [
    "BitwrightError",
    "Design",
    "Graph",
    "Plan",
    "Rows",
    "Settings",
    "bulk",
    "compare",
    "cost_model",
    "dequantise",
    "digest",
    "emit",
    "estimate",
    "evaluate",
    "find_plan",
    "hand_over",
    "hls",
    "load",
    "load_design",
    "load_model",
    "load_rows",
    "lower",
    "lower_onnx",
    "make_plan",
    "measure",
    "models",
    "quantise",
    "random_vectors",
    "rtl_tb",
    "run",
    "save",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bitwright' has no attribute {name!r}")
    origin = _WHERE[name]
    if origin == "bitwright":
        return import_module(f"bitwright.{name}")
    module = import_module(origin)
    return getattr(module, name) if hasattr(module, name) else import_module(f"{origin}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
