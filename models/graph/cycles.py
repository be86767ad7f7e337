"""When every beat moves: the exact cycles of a plan, found by playing its streams through.

Nothing is simulated cycle by cycle. A block begins its k-th beat at the first cycle in which its
inputs are there, the beat before has begun and there is room for the result; each of these is the
time of an earlier event, so that the times follow from one another (a network of Kahn processes
with bounded queues). What waits for ever is a deadlock.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from typing_extensions import assert_never

from bitwright.models.errors import GraphError
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.heads import Lines, Narrow, Pass, Repeat, Sweep, Widen
from bitwright.models.graph.ops import Window
from bitwright.models.graph.plan import Plan
from bitwright.models.graph.streams import INPUT, OUTPUT, Block, Streams, is_streamed, streams

_MOST_FRAMES = 1024
_ENDLESS = 1 << 62

Process = Generator[None, None, None]


@dataclass(frozen=True, slots=True)
class Cycles:
    """latency: from the edge that takes a tensor's first beat to the one that gives its last.

    interval: cycles between two tensors at full rate, once the pipeline is full.
    """

    latency: int
    interval: int


@dataclass(frozen=True, eq=False, slots=True)
class Timing:
    """The cycles, and the most beats that each FIFO ever had room taken for."""

    cycles: Cycles
    occupancy: dict[str, int]


def cycles(graph: Graph, plan: Plan) -> Cycles:
    """Latency and initiation interval of the hardware that the plan makes, exactly.

    Raises GraphError for a plan that does not fit the graph, or that would come to a halt.
    """
    if not is_streamed(graph, plan):
        plan.check(graph)
        return Cycles(sum(plan.stages(node.name) for node in graph.nodes), 1)
    return timing(graph, sized(graph, plan)).cycles


def sized(graph: Graph, plan: Plan) -> Streams:
    """The streams of a plan, with the FIFOs in front of joins as deep as full speed needs.

    One branch of a fork may hold many beats before the join gets its first from the other. So the
    FIFOs of joins are played without bounds first, and then made as deep as they got.
    """
    made = streams(graph, plan)
    joins = {name for block in made.blocks if len(block.reads) > 1 for name in block.reads}
    joins -= {INPUT}
    if not joins:
        return made
    endless = {n: replace(f, depth=_ENDLESS) if n in joins else f for n, f in made.fifos.items()}
    found = timing(graph, replace(made, fifos=endless)).occupancy
    deep = {
        name: replace(fifo, depth=max(fifo.depth, found[name])) if name in joins else fifo
        for name, fifo in made.fifos.items()
    }
    return replace(made, fifos=deep)


def timing(graph: Graph, made: Streams) -> Timing:
    """Play tensors through the streams until they come out evenly.

    Raises GraphError where everything comes to wait for something else, with what waits.
    """
    frames = 4
    while True:
        play = _Play(graph, made, frames)
        ends = play.run()
        gaps = [after - before for before, after in pairwise(ends)]
        steady = len(set(gaps[len(gaps) // 2 :])) == 1
        # Until the first tensor is out, what fills up on the way hides what is too shallow.
        full = ends[0] <= play.begins[frames // 2]
        if (steady and full) or frames >= _MOST_FRAMES:
            break
        frames *= 2
    occupancy = {name: queue.occupancy() for name, queue in play.queues.items()}
    return Timing(Cycles(ends[0] - play.source.taken[0], max(gaps)), occupancy)


class _Queue:
    """The times at which the beats of a FIFO are begun, put in and taken out."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.begun: list[int] = []
        self.put: list[int] = []
        self.taken: list[int] = []

    def occupancy(self) -> int:
        """The most beats at a time that room was taken for."""
        most, taken = 0, 0
        for count, begun in enumerate(self.begun, start=1):
            while taken < len(self.taken) and self.taken[taken] < begun:
                taken += 1
            most = max(most, count - taken)
        return most


class _Play:
    """One run. Every process is a generator that yields where an event that it needs is unknown."""

    def __init__(self, graph: Graph, made: Streams, frames: int) -> None:
        self.graph, self.made, self.frames = graph, made, frames
        self.queues = {name: _Queue(fifo.depth) for name, fifo in made.fifos.items()}
        self.source = self.queues[INPUT] = _Queue(_ENDLESS)
        self.source.put = [-1] * (graph.input.size // made.input_lanes * frames)
        self.events = 0

    @property
    def begins(self) -> list[int]:
        """The cycles in which the first beat of every tensor is taken."""
        return self.source.taken[:: self.graph.input.size // self.made.input_lanes]

    def run(self) -> list[int]:
        """The cycles in which the last beat of every tensor comes out."""
        last = self.queues[OUTPUT]
        beats = self.graph.output.size // self.made.fifos[OUTPUT].lanes
        waiting = [p for block in self.made.blocks for p in self._processes(block)]
        waiting.append(self._sink(last))
        before = -1
        while len(last.taken) < beats * self.frames:
            if before == self.events:
                joins = ", ".join(b.name for b in self.made.blocks if len(b.reads) > 1)
                raise GraphError(
                    f"the plan of graph {self.graph.name} comes to a halt: a FIFO before one of "
                    f"the joins {joins} is too shallow for what its other branch holds"
                )
            before = self.events
            for process in waiting:
                next(process)
        return last.taken[beats - 1 :: beats]

    def _processes(self, block: Block) -> Iterator[Process]:
        reads = [self.queues[name] for name in block.reads]
        feeds = [self.queues[name] for name in block.feeds]
        head = block.head
        match head:
            case Pass():
                yield self._steps(reads, feeds, 1, 1, block.latency)
            case Widen():
                yield self._steps(reads, feeds, head.ratio, 1, block.latency)
            case Narrow():
                yield self._steps(reads, feeds, 1, head.ratio, block.latency)
            case Lines():
                yield self._lines(head, reads[0], feeds, block.latency)
            case Sweep() | Repeat():
                if isinstance(head, Repeat):  # a pixel at a time, each of its words a pass
                    passes = head.copies * head.words
                    head = Sweep(1, 1, head.words, Window((1, 1)), passes, head.words)
                rows: list[int] = []
                releases: list[int] = []
                yield self._writes(head, reads[0], rows, releases)
                yield self._reads(head, feeds, rows, releases, block.latency)
            case _:
                assert_never(head)

    def _take(self, queue: _Queue, time: int) -> None:
        queue.taken.append(time)
        self.events += 1

    def _give(self, feeds: list[_Queue], begun: int, latency: int) -> None:
        for queue in feeds:
            queue.begun.append(begun)
            queue.put.append(begun + latency)
        self.events += 1

    def _steps(
        self, reads: list[_Queue], feeds: list[_Queue], taken: int, given: int, latency: int
    ) -> Process:
        """`taken` beats in, `given` out, a step a cycle; one of the two numbers is 1."""
        beat, made, last = 0, 0, -1
        while True:
            for step in range(max(taken, given)):
                time = last + 1
                for queue in reads:
                    while len(queue.put) <= beat:
                        yield
                    time = max(time, queue.put[beat] + 1)
                gives = given > 1 or step == taken - 1
                for queue in feeds if gives else ():
                    behind = made - queue.depth
                    while len(queue.taken) <= behind:
                        yield
                    if behind >= 0:
                        time = max(time, queue.taken[behind] + 1)
                if taken > 1 or step == given - 1:
                    for queue in reads:
                        self._take(queue, time)
                    beat += 1
                if gives:
                    self._give(feeds, time, latency)
                    made += 1
                last = time

    def _lines(self, head: Lines, read: _Queue, feeds: list[_Queue], latency: int) -> Process:
        beat, made, last = 0, 0, -1
        completes = head.completes
        while True:
            for place, ends in enumerate(completes):
                last += 1
                if place < head.pixels:
                    while len(read.put) <= beat:
                        yield
                    last = max(last, read.put[beat] + 1)
                for queue in feeds if ends else ():
                    behind = made - queue.depth
                    while len(queue.taken) <= behind:
                        yield
                    if behind >= 0:
                        last = max(last, queue.taken[behind] + 1)
                if place < head.pixels:
                    self._take(read, last)
                    beat += 1
                if ends:
                    self._give(feeds, last, latency)
                    made += 1

    def _writes(self, head: Sweep, read: _Queue, rows: list[int], releases: list[int]) -> Process:
        """Takes words while there is a row for them. rows: when each was complete."""
        needed = self._oldest(head)
        oldest, released = 0, 0
        free_at, last, beat = 0, -1, 0
        while True:
            while len(rows) >= oldest + head.ring_rows:
                while len(releases) <= released:
                    yield
                free_at, oldest = releases[released] + 1, next(needed)
                released += 1
            for _ in range(head.columns * head.words):
                while len(read.put) <= beat:
                    yield
                last = max(last + 1, read.put[beat] + 1, free_at)
                self._take(read, last)
                beat += 1
            rows.append(last)

    def _reads(
        self, head: Sweep, feeds: list[_Queue], rows: list[int], releases: list[int], latency: int
    ) -> Process:
        """Goes over the positions. releases: when the last access of each row of them began."""
        positions, columns = head.positions
        top, kernel, stride = head.window.padding[0], head.window.kernel[0], head.window.stride[0]
        first_row, last, made = 0, -1, 0
        while True:
            for i in range(positions):
                lowest = min(i * stride - top + kernel - 1, head.rows - 1)
                if lowest >= 0:
                    while len(rows) <= first_row + lowest:
                        yield
                    last = max(last, rows[first_row + lowest])
                for _ in range(columns * head.passes):
                    last += head.accesses  # all but the last wait for nothing
                    for queue in feeds:
                        behind = made - queue.depth
                        while len(queue.taken) <= behind:
                            yield
                        if behind >= 0:
                            last = max(last, queue.taken[behind] + 1)
                    self._give(feeds, last, latency)
                    made += 1
                releases.append(last)
            first_row += head.rows

    def _oldest(self, head: Sweep) -> Iterator[int]:
        """After each row of positions, the oldest row of all images that is still needed."""
        first_row = 0
        while True:
            for i in range(1, head.positions[0]):
                yield first_row + max(0, i * head.window.stride[0] - head.window.padding[0])
            first_row += head.rows
            yield first_row

    def _sink(self, queue: _Queue) -> Process:
        beat, last = 0, -1
        while True:
            while len(queue.put) <= beat:
                yield
            last = max(last + 1, queue.put[beat] + 1)
            self._take(queue, last)
            beat += 1
