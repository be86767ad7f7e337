"""Every node of a design and the whole of it: what is proven, how, and what only simulation says.

- An unrolled product is read as text (`linear`), and the rounding cell behind it is proven for the
  parameters that it has there.
- Other modules of fixed latency agree with the specification in every cycle, for all inputs, all
  times and all pauses.
- Folded products, pools, and constants of channels from a memory are proven by their parts
  (`parts`), whatever their size; and the whole design, where all nodes are, by what connects them
  (`composition`). Where that cannot be, they are queues of tensors. Small ones are proven for all
  times; else all tensors and all pauses are tried for so many cycles, or all tensors at full rate.

What is too large, or not decided in time, is not proven: it is for simulation to speak for.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Literal

from bitwright.models.errors import ToolError
from bitwright.models.graph import (
    Concat,
    Graph,
    Node,
    Requantize,
    loading,
)
from bitwright.models.graph.cycles import sized
from bitwright.models.graph.streams import Block, Step, is_streamed, latency
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.folded import sweeps
from bitwright.rtl_tb.proof import checker
from bitwright.rtl_tb.proof.benches import TOP, Line, Queue, harness, lockstep, queue
from bitwright.rtl_tb.proof.cells import lemma
from bitwright.rtl_tb.proof.composition import connecting_cells
from bitwright.rtl_tb.proof.linear import Proof, prove_linear
from bitwright.rtl_tb.proof.netlist import read
from bitwright.rtl_tb.proof.parts import Cell, parts
from bitwright.rtl_tb.proof.reading import ProofError, UnreadError
from bitwright.rtl_tb.proof.specification import terms
from bitwright.rtl_tb.proof.units import line_of, swept_by, tensor_cycles

Status = Literal["proven", "bounded", "refuted", "simulated", "unread"]

MOST_TERMS = 4_000
"""Products, comparisons and table entries of a specification; more take Yosys alone minutes."""

_MOST_QUEUED = 400
"""Of a queue of tensors, in which sums are compared after they went different ways."""

_SMALL = 64
"""Of a queue that may be proven for all times in a minute."""

_MOST_BITS = 12_000
"""Products of single bits, or bits of a memory of registers, in a cell; more take Yosys minutes."""

LIBRARY_RAM = (resources.files("bitwright.rtl_tb") / "lib" / "bw_ram.sv").read_text()

_INSTANCE = re.compile(r"^\s*(\w+) (?:#\(|u_)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NodeProof:
    """What is known of a node, or of the whole design (node and kind are then empty).

    proven: for all inputs, at all times. bounded: for all inputs, but only for the first `cycles`
    after the reset. simulated: not proven, whether or not anybody simulates it. unread: not
    proven either, because the text is not what is emitted. told: how, why not, or what fails.
    """

    node: str
    kind: str
    module: str
    status: Status
    told: str
    cycles: int = 0
    seconds: float = 0.0


def prove(
    graph: Graph,
    design: Design,
    *,
    seconds: float = 30.0,
    whole: bool = True,
    progress: Callable[[int, str], None] = lambda done, name: None,
    found: Callable[[NodeProof], None] = lambda one: None,
) -> list[NodeProof]:
    """Prove what can be proven: every node, in order, then the whole design.

    seconds: for one question to ABC, of which a node has up to three. whole: the design from input
    to output as well. progress: is told how many are done, and the name of the next (empty: the
    whole). found: is told of each as soon as it is known.

    Raises:
        StorageError: a file cannot be read.
        ToolError: pyosys is missing, or refuses a module.
    """
    proofs = []
    for one in _Prover(graph, design, seconds).all(whole, progress):
        found(one)
        proofs.append(one)
    return proofs


class _Prover:
    def __init__(self, graph: Graph, design: Design, seconds: float) -> None:
        self.graph, self.design, self.seconds = graph, design, seconds
        self.texts = design.texts()
        self.linear = {one.node: one for one in prove_linear(graph, design)[0]}
        # The cells as the design has them, but for memories, which benches have models of.
        self.library = {name: text for name, text in self.texts.items()
                        if name.startswith("bw_") and name != "bw_ram"}  # fmt: skip
        self.plan = design.plan
        self.steps: dict[str, tuple[Block, Step]] = {}
        self.rounders: dict[str, checker.Verdict] = {}
        self.pipes: dict[str, int] = {}  # stages of modules that are read, not put beside another
        self.parted: set[str] = set()  # nodes proven by their parts
        self.lemmas: dict[tuple[str, tuple[tuple[str, int], ...]], checker.Verdict] = {}
        if self.plan is not None and is_streamed(graph, self.plan):
            for block in sized(graph, self.plan).blocks:
                for step in block.steps:
                    self.steps[step.node.name] = block, step

    def all(self, whole: bool, progress: Callable[[int, str], None]) -> Iterator[NodeProof]:
        done_nodes: list[NodeProof] = []
        for done, node in enumerate(self.graph.nodes):
            progress(done, node.name)
            begun = time.monotonic()
            found = replace(self.node(node), seconds=time.monotonic() - begun)
            yield found
            done_nodes.append(found)
        if whole:
            progress(len(self.graph.nodes), "")
            begun = time.monotonic()
            yield replace(self.whole(done_nodes), seconds=time.monotonic() - begun)

    def node(self, node: Node) -> NodeProof:
        """What is known of one node."""
        module = self.design.modules.get(node.name, "")
        blank = NodeProof(node.name, node.kind, module, "simulated", "")
        if self.plan is None:
            return replace(blank, told="the design has no plan")
        if isinstance(node.op, Concat):
            return replace(blank, told="wires of the top module")
        if node.name in self.linear and "bw_plain_" not in self.texts[module]:
            if not self.linear[node.name].unread:
                return self._rounded(blank, node, self.linear[node.name])
            return self._unread(blank, node, str(self.linear[node.name].refuted))
        block, step = self.steps.get(node.name, (None, None))
        if step is not None and (found := self._parts(blank, node, step)) is not None:
            return found
        if node.name in self.plan.loadable:
            return replace(blank, told="weights are loaded at run time")
        if block is not None and step is not None and sweeps(node, block):
            unit = swept_by(self.graph, self.plan, block, step, module)
            cycles = tensor_cycles(unit, block)
            least = unit.counts[0] + cycles + latency(node, self.plan.engines[node.name]) + 3
            return self._queue(blank, unit, least, least + cycles)
        line = line_of(self.graph, self.plan, node, step, module)
        return self._lockstep(blank, line)

    def _unread(self, blank: NodeProof, node: Node, why: str) -> NodeProof:
        """An adder graph that somebody changed: it may mean the same, or have a counterexample."""
        assert self.plan is not None
        _, step = self.steps.get(node.name, (None, None))
        foreign = f"{why}, which is not what is emitted"
        line = line_of(self.graph, self.plan, node, step, blank.module)
        try:
            found = self._lockstep(replace(blank, status="unread"), line)
        except ToolError:  # nor can Yosys read it
            return replace(blank, status="unread", told=foreign)
        return replace(found, told=f"{foreign}; beside its specification {found.told}")

    def _lockstep(self, blank: NodeProof, line: Line) -> NodeProof:
        """A module of fixed latency beside its specification."""
        if (size := terms([line.node], line.sources)) > MOST_TERMS:
            return replace(blank, told=f"too large: {size:,} terms")
        if line.history:
            bench = lockstep(line, any_state=True)
            verdict = self._check(bench, line.module, history=line.history)
            if verdict.status == "proven":  # what fails may only do so in states that never are
                return _judged(blank, verdict)
        return _judged(blank, self._check(lockstep(line), line.module))

    def _parts(self, blank: NodeProof, node: Node, step: Step) -> NodeProof | None:
        """A module of instances by what is known of them; None for one that is of another kind."""
        texts = {name: text for name, text in self.texts.items()
                 if name == blank.module or name.startswith(f"{blank.module}_")}  # fmt: skip
        source = self.graph.values[node.inputs[0]]
        try:
            assert self.plan is not None
            loads = loading(self.graph, self.plan) if node.name in self.plan.loadable else None
            found = parts(node, source, step.takes, step.makes, read(texts), blank.module, loads)
        except UnreadError:
            return None
        except ProofError as error:
            return replace(blank, status="refuted", told=str(error))
        if found is None:
            return None
        cells = dict.fromkeys((cell, tuple(sorted(given.items()))) for cell, given in found.cells)
        for cell, given in cells:
            try:
                verdict = self._lemma(cell, given)
            except UnreadError as error:
                return replace(blank, told=str(error))
            if verdict.status != "proven":
                return _judged(replace(blank, told=f"{cell} with its parameters here: "), verdict)
        self.parted.add(node.name)
        told = f"by parts, for all times: {', '.join(sorted({cell for cell, _ in cells}))}"
        if found.words:
            told += f"; {found.words:,} words of memory compared"
        if loads is not None:
            told += ", and whatever is loaded instead of them"
        return replace(blank, status="proven", told=told)

    def _lemma(self, cell: str, given: tuple[tuple[str, int], ...]) -> checker.Verdict:
        """What is known of a cell with the parameters that it has here.

        Raises UnreadError where it is too large.
        """
        known = dict(given)
        if self.texts.get("bw_ram", LIBRARY_RAM) != LIBRARY_RAM:
            raise UnreadError("bw_ram is not the library's, which the proofs of others rely on")
        names = ("Lanes", "Terms", "InWidth", "WeightWidth") if cell == "bw_matvec" else (
            ("Depth", "Width") if cell == "bw_fifo" else ())  # fmt: skip
        if (size := math.prod(known[name] for name in names)) > _MOST_BITS:
            raise UnreadError(f"{cell} with {known} is too large: {size:,} bits")
        if (cell, given) not in self.lemmas:
            self.lemmas[cell, given] = lemma(cell, known, self.library, max(self.seconds, 60))
        return self.lemmas[cell, given]

    def whole(self, nodes: Sequence[NodeProof]) -> NodeProof:
        """What is known of the design from its input to its output. nodes: what is of its nodes."""
        blank = NodeProof("", "", self.design.top, "simulated", "")
        composed = self._composed(blank, nodes)
        if composed.status != "simulated":
            return composed
        if self.design.load_beats:
            return composed
        searched = self._searched(blank)
        if searched.status == "simulated":
            return replace(blank, told=f"{composed.told}; as one question {searched.told}")
        return searched

    def _composed(self, blank: NodeProof, nodes: Sequence[NodeProof]) -> NodeProof:
        """Proven modules, connected as the graph says by cells that are proven too."""
        if self.plan is None:
            return replace(blank, told="the design has no plan")
        left = [one.node for one in nodes if one.status != "proven" and one.kind != "concat"]
        if left:
            some = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
            return replace(blank, told=f"not proven for all times: {some}")
        for name, (block, step) in self.steps.items():
            if sweeps(step.node, block) and name not in self.parted:
                return replace(blank, told=f"{name} is not proven by its parts")
        try:
            top = read({self.design.top: self.texts[self.design.top]})[self.design.top]
            cells = connecting_cells(self.graph, self.plan, self.design, top)
        except UnreadError as error:
            return replace(blank, told=str(error))
        except ProofError as error:
            return replace(blank, status="refuted", told=str(error))
        pipes: list[Cell] = [("bw_pipe", {"Stages": stages}) for stages in self.pipes.values()]
        for cell, given in [*pipes, *cells]:
            try:
                verdict = self._lemma(cell, tuple(sorted(given.items())))
            except UnreadError as error:
                return replace(blank, told=str(error))
            if verdict.status != "proven":
                return _judged(replace(blank, told=f"{cell} with {dict(given)}: "), verdict)
        told = "by composition, for all times: the proven nodes"
        if self.design.load_beats:
            told += ", while nothing is loaded"
        if cells:
            told += (
                f", between {len(cells)} proven cells ({', '.join(sorted({c for c, _ in cells}))})"
            )
        return replace(blank, status="proven", told=told)

    def _searched(self, blank: NodeProof) -> NodeProof:
        """The design against the specification of all nodes in a row."""
        design, graph = self.design, self.graph
        cycles = design.latency + design.interval
        unit = Queue(
            design.top, graph.nodes, graph.input, None,
            (design.input_beats, design.output_beats), 30, cycles + 2,
            head=False, framed=design.framed,
        )  # fmt: skip
        least = design.latency + design.input_beats + 2
        return self._queue(blank, unit, least, least + design.interval)

    def _rounded(self, blank: NodeProof, node: Node, proof: Proof) -> NodeProof:
        """An adder graph, and the rounding behind it."""
        if proof.refuted:
            return replace(blank, status="refuted", told=proof.refuted)
        self.pipes[blank.module] = proof.stages
        told = f"exact linear forms: {proof.outputs:,} outputs, {proof.wires:,} wires"
        if isinstance(node.op, Requantize):
            for given in proof.roundings:
                if given not in self.rounders:
                    parameters: dict[str, int | str] = {name: int(value) for name, value in
                                  re.findall(r"\.(\w+)\((\d+)\)", given)}  # fmt: skip
                    bench = harness("fv_round")
                    self.rounders[given] = self._check(bench, "bw_round_saturate", parameters,
                                                       "fv_round")  # fmt: skip
                rounding = self.rounders[given]
                if rounding.status != "proven":
                    return _judged(replace(blank, told=f"rounding with {given}: "), rounding)
            told += "; rounding by satisfiability"
        return replace(blank, status="proven", told=told)

    def _queue(self, blank: NodeProof, unit: Queue, least: int, most: int) -> NodeProof:
        """The strongest of: for all times; for some cycles with any pauses; those at full rate.

        least: cycles in which a first tensor comes out at full rate; fewer prove nothing. most:
        cycles in which another does.
        """
        if (size := terms(unit.nodes, [unit.source])) > _MOST_QUEUED:
            return replace(blank, told=f"too large: {size:,} terms")
        paused = queue(unit, pauses=True)
        if size <= _SMALL:
            verdict = self._check(paused, unit.module)
            if verdict.status != "undecided":
                return _judged(blank, verdict)
        for text, how in ((paused, "any pauses"), (queue(unit, pauses=False), "full rate")):
            verdict = self._check(text, unit.module, bound=most)
            if verdict.status == "undecided" and verdict.cycles >= least:
                verdict = replace(verdict, status="proven")
            if verdict.status != "undecided":
                return _judged(blank, verdict, how)
        return _judged(blank, verdict)

    def _check(
        self,
        bench: dict[str, str],
        module: str,
        parameters: dict[str, int | str] | None = None,
        top: str = TOP,
        bound: int = 0,
        history: int = 0,
    ) -> checker.Verdict:
        texts = {**bench, **_below(module, self.texts)}
        return checker.check(
            texts, top, parameters, bound=bound, seconds=self.seconds, history=history
        )


def _below(module: str, texts: dict[str, str]) -> dict[str, str]:
    """The files of a module and of all that it instantiates.

    A memory of the library reads as anything where it is written at the same time, whatever the
    simulator makes of that.
    """
    found: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        if f"{name}.sv" in found:
            continue
        text = texts[name] if name != "bw_ram" else harness("fv_ram_model")["fv_ram_model.sv"]
        found[f"{name}.sv"] = text
        left += [one for one in _INSTANCE.findall(text) if one in texts]
    return found


def _judged(blank: NodeProof, verdict: checker.Verdict, how: str = "") -> NodeProof:
    status = blank.status
    match verdict.status:
        case "proven":
            status = "bounded" if verdict.method == "bounded" else "proven"
        case "refuted":
            status = "refuted"
    told = f"{blank.told}{verdict}" + (f", {how}" if how else "")
    cycles = verdict.cycles if status == "bounded" else 0
    return replace(blank, status=status, told=told, cycles=cycles)
