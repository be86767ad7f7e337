"""A folder that holds an hls4ml project for an integer graph, laid out as hls4ml does it.

Beside hls4ml's own files it holds `bitwright.json`, from which `load` knows the project again.
"""

import contextlib
import io
import json
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from bitwright.hls.layer import BINARY, Layer
from bitwright.hls.mapping import IO_TYPES, IoType, layers, usual_io
from bitwright.models.errors import BitwrightError, InputError, StorageError, ToolError
from bitwright.models.graph import Graph, IntType, Value, digest
from bitwright.models.graph.storage import replaced_folder

Backend = Literal["Vitis", "Vivado"]
"""hls4ml's back ends for AMD's two generations of HLS tools."""

BACKENDS: tuple[Backend, ...] = get_args(Backend)

DEFAULT_PART = "xcvu13p-flga2577-2-e"
"""hls4ml's own default: an UltraScale+ device large enough for whatever is unrolled."""

_FORMAT = "bitwright-hls-2"
_ONE_AT_A_TIME = threading.Lock()  # hls4ml has global registries, and it prints


@dataclass(frozen=True, slots=True)
class Project:
    """An hls4ml project on disk, and what has to be known to simulate and to build it."""

    folder: Path
    backend: Backend
    io: IoType
    top: str
    """The top function, after which hls4ml names its files."""
    digest: str
    """`bitwright.models.graph.digest` of the graph that it was written from."""
    input: Value
    tensors: tuple[Value, ...]
    """What each node makes, in execution order."""
    output: Value


def write(
    graph: Graph,
    folder: str | Path,
    backend: Backend = "Vitis",
    part: str = DEFAULT_PART,
    clock_mhz: float = 200.0,
    io: IoType | None = None,
) -> Project:
    """Write the graph as an hls4ml project, replacing the folder.

    part: the device, as AMD spells it. clock_mhz: the clock that the vendor's tool aims at. io:
    whole tensors as arrays, or streams with one pixel's channels at a time, as `usual_io` chooses
    where nothing is said; the products of one pixel are fully unrolled in both.
    Raises:
        UnsupportedError: something in the graph that hls4ml cannot express exactly.
        InputError: an unknown back end or interface, or a part or clock that cannot be.
        ToolError: hls4ml did not keep a layer, a type or a constant.
        StorageError: the folder cannot be written; what it held is still there.
    """
    if backend not in BACKENDS:
        raise InputError(f"HLS back end {backend!r} is not one of {', '.join(BACKENDS)}")
    io = io or usual_io(graph)
    if io not in IO_TYPES:
        raise InputError(f"HLS interface {io!r} is not one of {', '.join(IO_TYPES)}")
    if not re.fullmatch(r"[A-Za-z0-9-]+", part):
        raise InputError(f"part {part!r} is not the name of a device, such as {DEFAULT_PART}")
    if not 1.0 <= clock_mhz <= 2000.0:
        raise InputError(f"a clock of {clock_mhz} MHz is outside 1..2000 MHz")
    target = Path(folder).absolute()
    project = Project(
        folder=target,
        backend=backend,
        io=io,
        # Any suffix keeps the function apart from the C library's and the file from hls4ml's own;
        # this one keeps the IP apart from the RTL of the same graph.
        top=f"{graph.name}_hls",
        digest=digest(graph),
        input=graph.input,
        tensors=tuple(node.output for node in graph.nodes),
        output=graph.output,
    )
    with _ONE_AT_A_TIME, _quiet(), replaced_folder(target, "bitwright.json") as fresh:
        wanted = layers(graph, io)
        model = make_model(project, wanted, fresh, part, clock_mhz)
        check_kept(model, wanted)
        model.write()
        _forget_place_and_time(fresh, project)
        (fresh / "bitwright.json").write_text(json.dumps(_to_json(project), indent=1) + "\n")
    return project


def load(folder: str | Path) -> Project:
    """The project in a folder that `write` made. Raises StorageError where there is none."""
    path = Path(folder).absolute() / "bitwright.json"
    try:
        tree = json.loads(path.read_text())
        if (
            tree["format"] != _FORMAT
            or tree["backend"] not in BACKENDS
            or tree["io"] not in IO_TYPES
        ):
            raise ValueError(f"{tree['format']} for {tree['backend']} and {tree['io']}")
        values = {name: _value_from_json(name, kind) for name, kind in tree["tensors"].items()}
        return Project(
            folder=path.parent,
            backend=tree["backend"],
            io=tree["io"],
            top=str(tree["top"]),
            digest=str(tree["digest"]),
            input=values.pop(tree["input"]),
            tensors=tuple(values.values()),
            output=values[tree["output"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BitwrightError) as error:
        raise StorageError(
            f"{path.parent} does not hold an HLS project of bitwright "
            f"({type(error).__name__}: {error}): write it again"
        ) from None


def make_model(
    project: Project, wanted: list[Layer], folder: Path, part: str, clock_mhz: float
) -> Any:
    """hls4ml's model of these layers, after all of its passes ran."""
    from hls4ml.backends import get_backend
    from hls4ml.model.graph import ModelGraph

    from bitwright.hls.extension import register

    register(project.backend)
    config = get_backend(project.backend).create_initial_config(
        part=part, clock_period=1000 / clock_mhz, io_type=project.io
    )
    dataflow = any(layer.kind == "BitwrightWindowConv" for layer in wanted)
    traced = {tensor.name for tensor in project.tensors}
    config |= {
        "Backend": project.backend,
        "OutputDir": str(folder),
        "ProjectName": project.top,
        "TraceOutput": True,
        "HLSConfig": {
            "Model": {
                "Precision": {"default": "fixed<16,6>"},  # has to be there; nothing uses it
                "ReuseFactor": 1,
                "Strategy": "Latency",
                "BramFactor": 10**9,
                # As hls4ml decides by itself where it sees a convolution of its own.
                "PipelineStyle": "dataflow" if dataflow else "auto",
            },
            "LayerName": {
                layer.name: {
                    "Precision": {p: kind for p, kind in layer.types.items() if kind != BINARY},
                    "Trace": layer.name in traced,
                }
                for layer in wanted
            },
        },
    }
    described = [
        {
            "name": layer.name,
            "class_name": layer.kind,
            "inputs": list(layer.inputs),
            **layer.attributes,
            **{f"{name}_data": array for name, array in layer.constants.items()},
        }
        for layer in wanted
    ]
    return ModelGraph.from_layer_list(
        config, described, inputs=[wanted[0].name], outputs=[project.output.name]
    )


def check_kept(model: Any, wanted: list[Layer]) -> None:
    """Prove that hls4ml's passes kept every layer, input, type and constant.

    A streamed model may have copies of streams and zeros around images in between, of the same
    type as what they read. Raises ToolError for the first that is not what was asked for.
    """
    asked = {layer.name: layer for layer in wanted}
    made_layers = list(model.get_layers())
    added = [layer for layer in made_layers if layer.class_name in _ADDED]
    for layer in added:
        reads = layer.get_input_variable().type.precision
        for variable in layer.get_variables():
            if str(variable.type.precision) != str(reads):
                raise ToolError(
                    f"hls4ml made {variable.name} ({layer.class_name}) {variable.type.precision}, "
                    f"not {reads}: {_REMEDY}"
                )
    kept = [layer for layer in made_layers if layer not in added]
    asked_layers = [f"{layer.name} ({layer.kind})" for layer in wanted]
    kept_layers = [
        f"{layer.name} ({_RENAMED.get(layer.class_name, layer.class_name)})" for layer in kept
    ]
    if kept_layers != asked_layers:
        odd = ", ".join(sorted(set(kept_layers) ^ set(asked_layers)))
        raise ToolError(f"hls4ml did not keep the layers {odd}: {_REMEDY}")
    origin = {output: layer for layer in made_layers for output in layer.outputs}
    for made in kept:
        reads = tuple(_origin(origin, name, asked) for name in made.inputs if name in origin)
        if reads != asked[made.name].inputs:
            raise ToolError(
                f"hls4ml made {made.name} read {', '.join(reads)}, not "
                f"{', '.join(asked[made.name].inputs)}: {_REMEDY}"
            )
        _check_layer(made, asked[made.name])


def _origin(origin: dict[str, Any], name: str, asked: dict[str, Layer]) -> str:
    """The layer that was asked for whose result, copied or padded, arrives under this name."""
    while (layer := origin[name]).name not in asked:
        name = layer.inputs[0]
    return str(layer.name)


def _check_layer(made: Any, asked: Layer) -> None:
    from hls4ml.model.types import XnorPrecisionType

    for part, kind in asked.types.items():
        if part == "result":
            found = made.get_output_variable().type.precision
        elif part in asked.constants:
            found = made.get_weights(part).type.precision
        else:
            found = made.get_attr(f"{part}_t").precision
        found = BINARY if isinstance(found, XnorPrecisionType) else str(found)
        if found != kind:
            raise ToolError(
                f"hls4ml made the {part} of {asked.name} {found}, not {kind}: {_REMEDY}"
            )
    for name, array in asked.constants.items():
        if not np.array_equal(made.get_weights(name).data_unquantized, array):
            raise ToolError(f"hls4ml changed the {name} of {asked.name}: {_REMEDY}")


_ADDED = ("Clone", "ZeroPadding2D")
"""What hls4ml's passes put into a streamed model."""

_RENAMED = {"PointwiseConv2D": "Conv2D", "Pooling2D": "MaxPooling2D"}
"""What hls4ml calls a 1 x 1 convolution and a pool by itself."""

_REMEDY = "install the version of hls4ml that bitwright asks for, and report this if it persists"


def _forget_place_and_time(folder: Path, project: Project) -> None:
    """Make the files independent of where and when they were written, so that they compare."""
    stamp = f"g{project.digest[:7]}"  # a letter first: YAML would read some digits as a number
    for name, pattern, value in (
        ("hls4ml_config.yml", r"^OutputDir:.*\n(?: .*\n)*", "OutputDir: .\n"),
        ("hls4ml_config.yml", r"^Stamp: .*", f"Stamp: {stamp}"),
        ("build_lib.sh", r"^LIB_STAMP=.*", f"LIB_STAMP={stamp}"),
    ):
        path = folder / name
        path.write_text(re.sub(pattern, value, path.read_text(), flags=re.MULTILINE))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _to_json(project: Project) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "backend": project.backend,
        "io": project.io,
        "top": project.top,
        "digest": project.digest,
        "input": project.input.name,
        "output": project.output.name,
        "tensors": {
            value.name: {"type": str(value.type), "shape": list(value.shape)}
            for value in (project.input, *project.tensors)
        },
    }


def _value_from_json(name: str, kind: dict[str, Any]) -> Value:
    letter, width = kind["type"][:1], int(kind["type"][1:])
    if letter not in ("s", "u"):
        raise ValueError(f"type {kind['type']}")
    return Value(name, tuple(int(n) for n in kind["shape"]), IntType(width, letter == "s"))
