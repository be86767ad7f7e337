"""Many networks at a time through everything that claims to compute them.

The oracle says what is right; the numpy reference, the RTL in Verilator and hls4ml's C++ have to
say the same for every input, and the RTL has to take the cycles that were predicted. Many networks
share one build, because starting the compilers is what costs.
"""

import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from bitwright import hls
from bitwright.hls.many import simulate_many
from bitwright.models.errors import BitwrightError, ToolError, UnsupportedError
from bitwright.models.graph import Graph, IntArray, Plan, cycles, evaluate
from bitwright.rtl_tb import Design, Form, Load, Simulator, emit, load_words
from bitwright.rtl_tb.many import build_many
from trust import inputs, networks
from trust.oracle import Oracle
from trust.plans import Network

Engine = Literal["reference", "rtl", "hls"]
ENGINES: tuple[Engine, ...] = ("reference", "rtl", "hls")
Emit = Callable[[Graph, Plan, Path, Form], Design]
Words = npt.NDArray[np.uint32]
T = TypeVar("T")

_MOST_VECTORS, _LEAST_VECTORS = 160, 12
_MOST_WORK = 200_000  # elementary steps of the oracle, which makes a million or two in a second
_MOST_CYCLES = 15_000  # of simulation, which is not optimised


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """A network, inputs of shape (n, *input shape), and the oracle's outputs.

    after: what it answers once the other weights are loaded, where there are any.
    """

    network: Network
    x: IntArray
    expected: IntArray
    after: IntArray | None = None


@dataclass(slots=True)
class Verdict:
    """What became of a case: the engines that answered it, and what they did wrong or refused.

    A refusal is one of our own errors, which says what is not supported.
    """

    compared: list[Engine] = field(default_factory=list)
    wrong: dict[Engine, str] = field(default_factory=dict)
    refused: dict[Engine, str] = field(default_factory=dict)


def case(network: Network, seed: int) -> Case:
    """A network with inputs for it. Raises BitwrightError where it is refused as a whole."""
    graph = network.graph
    interval = cycles(graph, network.plan).interval
    count = min(_MOST_VECTORS, _MOST_WORK // networks.work(graph), _MOST_CYCLES // interval)
    return answered(network, inputs.vectors(graph, max(count, _LEAST_VECTORS), seed))


def answered(network: Network, x: IntArray) -> Case:
    """The case of given inputs."""
    loaded = None if network.loaded is None else asked(network.loaded, x)
    return Case(network, x, asked(network.graph, x), loaded)


def asked(graph: Graph, x: IntArray) -> IntArray:
    """The oracle's outputs, shape (n, *output shape). Raises OracleError."""
    oracle = Oracle(graph)
    rows = [oracle(row) for row in x.reshape(len(x), -1).tolist()]
    return np.array(rows, np.int64).reshape(len(x), *graph.output.shape)


def compare(
    cases: Sequence[Case], engines: Sequence[Engine] = ENGINES, emitter: Emit = emit
) -> list[Verdict]:
    """Every case through every engine. emitter: another than `emit`, for negative controls."""
    judged = [(one, Verdict()) for one in cases]
    with tempfile.TemporaryDirectory(prefix="bitwright-trust-") as name:
        if "reference" in engines:
            for one, verdict in judged:
                _keep(verdict, "reference", _attempt(verdict, "reference", _reference, one))
        if "rtl" in engines:
            _rtl(judged, Path(name) / "rtl", emitter)
        if "hls" in engines:
            _hls(judged, Path(name) / "hls")
    return [verdict for _, verdict in judged]


def _attempt(verdict: Verdict, engine: Engine, work: Callable[..., T], *given: Any) -> T | None:
    """What `work` returns, or None where it raised, which the verdict then says."""
    try:
        return work(*given)
    except UnsupportedError as error:
        verdict.refused[engine] = str(error)
    except BitwrightError as error:
        verdict.wrong[engine] = f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - whatever escapes is what we look for
        verdict.wrong[engine] = "".join(traceback.format_exception(error)[-3:])
    return None


def _keep(verdict: Verdict, engine: Engine, wrong: str | None) -> None:
    """wrong: what was wrong with an engine's answers, empty if nothing, None if there are none."""
    if wrong is not None:
        verdict.compared.append(engine)
    if wrong:
        verdict.wrong[engine] = wrong


def _differs(made: IntArray, expected: IntArray) -> str:
    differs = (made != expected).reshape(len(made), -1).any(axis=1)
    if not differs.any():
        return ""
    first = int(differs.argmax())
    return (
        f"{differs.sum()} of {len(made)} outputs differ, first that of vector {first}: "
        f"{made[first].tolist()} instead of {expected[first].tolist()}"
    )


def _reference(one: Case) -> str:
    wrong = _differs(evaluate(one.network.graph, one.x), one.expected)
    if one.network.loaded is not None and one.after is not None:
        wrong = wrong or _differs(evaluate(one.network.loaded, one.x), one.after)
    return wrong


def _rtl(judged: Sequence[tuple[Case, Verdict]], folder: Path, emitter: Emit) -> None:
    def emitted(one: Case) -> Design:
        network = one.network
        return emitter(network.graph, network.plan, folder / network.graph.name, network.form)

    made = [(one, verdict, _attempt(verdict, "rtl", emitted, one)) for one, verdict in judged]
    _simulate_all([(o, v, design) for o, v, design in made if design is not None], folder / "sim")


def _simulate_all(made: list[tuple[Case, Verdict, Design]], folder: Path) -> None:
    """All in one model, or where that fails each in one of its own, to know which it is."""
    if not made:
        return
    try:
        simulators = build_many([design for _, _, design in made], folder)
    except ToolError as error:
        if len(made) == 1:
            made[0][1].wrong["rtl"] = str(error)
        else:
            for i, each in enumerate(made):
                _simulate_all([each], folder.with_name(f"{folder.name}_{i}"))
        return
    for (one, verdict, _), simulator in zip(made, simulators, strict=True):
        _keep(verdict, "rtl", _attempt(verdict, "rtl", simulated, one, simulator))


def simulated(one: Case, simulator: Simulator, words: Words | None = None) -> str:
    """What a compiled design did wrong with a case, in a sentence; empty if nothing.

    words: for the load stream, where they are not what `load_words` makes today.
    """
    done = simulator.verify(one.x, one.expected, paused=max(8, len(one.x) // 4))
    loaded = one.network.loaded
    if done.faults or loaded is None or one.after is None:
        return "; ".join(done.faults)
    # The first half as it was made, the second half with the other weights, with pauses.
    half = len(one.x) // 2
    if words is None:
        words = load_words(loaded, one.network.plan, one.network.graph)
    again = simulator.simulate(one.x, seed=3, loads=[Load(half, words)])
    return _differs(again.outputs, np.concatenate([one.expected[:half], one.after[half:]]))


def _hls(judged: Sequence[tuple[Case, Verdict]], folder: Path) -> None:
    def written(one: Case) -> hls.Project:
        graph = one.network.graph
        return hls.write(graph, folder / graph.name, io=one.network.io)

    made = [(one, verdict, _attempt(verdict, "hls", written, one)) for one, verdict in judged]
    _answer_all([(one, verdict, project) for one, verdict, project in made if project is not None])


def _answer_all(made: list[tuple[Case, Verdict, hls.Project]]) -> None:
    """All in one program, or where that fails each in one of its own."""
    if not made:
        return
    try:
        outputs = simulate_many([p for _, _, p in made], [one.x for one, _, _ in made])
    except ToolError as error:
        if len(made) == 1:
            made[0][1].wrong["hls"] = str(error)
        else:
            for each in made:
                _answer_all([each])
        return
    for (one, verdict, _), answers in zip(made, outputs, strict=True):
        _keep(verdict, "hls", _differs(answers, one.expected))
