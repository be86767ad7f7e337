"""What a person watches while a study runs: how far it is, what is best, how long it takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bitwright.search.candidate import Candidate
from bitwright.search.explore import State, Watch
from bitwright.search.front import front, price
from bitwright.search.methods import uniform_candidates
from bitwright.search.space import Space

_SHOWN = 6


@contextmanager
def watching(space: Space, console: Console) -> Iterator[Watch]:
    """A live view on a terminal; elsewhere a line now and then."""
    view = _View(space)
    if not console.is_terminal:
        last = time.monotonic()

        def tell(state: State) -> None:
            nonlocal last
            if time.monotonic() - last > 30:
                last = time.monotonic()
                console.print(view.line(state))

        yield tell
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda state: live.update(view.picture(state))


class _View:
    def __init__(self, space: Space) -> None:
        self._space, self._began = space, time.monotonic()
        self._expected = expected(space)

    def picture(self, state: State) -> RenderableType:
        done, total = len(state.rows), max(self._expected, len(state.handles))
        bar = ProgressBar(total=total, completed=done, width=40)
        head = Table.grid(padding=(0, 1))
        head.add_row(bar, Text(self.line(state)))
        table = Table(box=SIMPLE_HEAD, title_justify="left", title="best so far")
        for column in ("accuracy", "LUT", "cycles", "network"):
            table.add_column(column, justify="left" if column == "network" else "right")
        fitting = [p for p in state.candidates() if not self._space.budget.excess(p[1])]
        best = front(fitting, lambda p: float(p[1]["accuracy"]), lambda p: price(p[1]))
        for task, row in best[::-1][:_SHOWN]:
            table.add_row(
                f"{100 * row['accuracy']:.2f} %",
                f"{row['lut']:,}",
                str(row["interval"]),
                str(task.candidate),
            )
        now = [f"{t.kind}: {t.candidate}" for t in list(state.running.values())[:2]]
        return Group(head, table, *(Text(line, style="dim", no_wrap=True) for line in now))

    def line(self, state: State) -> str:
        """The same in a line."""
        failed = sum("error" in row for row in state.rows.values())
        total = max(self._expected, len(state.handles))
        running = min(len(state.running), state.executor.slots)
        told = f"{len(state.rows)} of about {total} done, {running} running, {failed} failed"
        seconds = [row["seconds"] for row in state.evaluated if row.get("seconds")]
        if seconds:
            each = sum(seconds) / len(seconds) / state.executor.slots
            told += f", about {_span((total - len(state.rows)) * each)} left"
        return told


def expected(space: Space) -> int:
    """About how many tasks a study has."""
    s = space.search
    many = {"uniform": 0, "pareto": s.trials, "ilp": s.trials + 1}
    many["differentiable"] = len(s.pressures)
    if "uniform" in s.methods:
        many["uniform"] = sum(1 for _ in uniform_candidates(space))
    shapes = sum(1 for _ in space.shapes())
    return sum(many[m] for m in s.methods) + s.finalists + shapes


def summary(finals: list[tuple[int, Candidate, dict[str, object]]], space: Space) -> RenderableType:
    """The points of the front after they were trained in full, as a table."""
    table = Table(box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.title = f"Pareto front: {space.budget.told()}"
    for column in ("point", "test", "held out", "LUT", "FF", "ns", "bits/act.", "network"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for number, candidate, row in finals:
        if "error" in row:
            table.add_row(str(number), *["-"] * 6, f"{candidate}: {row['error']}")
            continue
        table.add_row(
            str(number),
            f"{100 * float(str(row['test_accuracy'])):.2f} %",
            f"{100 * float(str(row['accuracy'])):.2f} %",
            f"{row['lut']:,}",
            f"{row['ff']:,}",
            f"{row['latency_ns']:,g}",
            f"{row['activation_bits']:g}",
            str(candidate),
        )
    return table


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
