"""What a person watches: a line for every step with its result and time, a bar for the long ones.

All of it goes to the error stream, so that the output holds the result alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.progress import TimeRemainingColumn as Left
from rich.table import Column


class Step:
    """A step that is running: it may tell how far it is, and say what came out of it."""

    def __init__(self, title: str, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=None, now="")
        self.result = ""

    def progress(self, done: int, total: int, now: str = "") -> None:
        """`done` of `total` pieces of the step are finished. now: which one is at work."""
        self._bar.update(self._task, completed=done, total=total, now=now)

    def line(self, text: str) -> None:
        """A line that stays above the bar, and that a log gets at once. text: not markup."""
        self._bar.console.print(text, soft_wrap=True, markup=False)


class Steps:
    """The steps of a job, one after the other."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.console = Console(stderr=True, highlight=False)
        self.seconds: dict[str, float] = {}
        """Wall-clock time of every finished step, by title."""

    @property
    def elapsed(self) -> float:
        """Seconds since the job began."""
        return time.perf_counter() - self.started

    @contextmanager
    def step(self, title: str, *, own_bar: bool = False) -> Iterator[Step]:
        """Show a step while the block runs, and leave one line with its time when it ends.

        own_bar: the block draws a progress bar of its own.
        """
        start = time.perf_counter()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24),
                   MofNCompleteColumn(), Elapsed(),
                   TextColumn("[dim]{task.fields[now]}"))  # fmt: skip
        hidden = own_bar or not self.console.is_terminal  # a log gets the closing lines only
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as bar:
            step = Step(title, bar)
            yield step
        self.seconds[title] = time.perf_counter() - start
        line = f"[green]✓[/] {title:<36} {self.seconds[title]:7.1f} s  {step.result}"
        self.console.print(line, soft_wrap=True)


@contextmanager
def campaign(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with the time left for a job of many pieces, and what came last beside it.

    Yields what is called with the pieces that are done, all of them, and the name of the last. A
    log gets a line a minute.
    """
    console = Console(stderr=True, highlight=False)
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # so that the others are whole
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(16),
               MofNCompleteColumn(), Elapsed(), TextColumn("left"), Left(),
               TextColumn("[dim]{task.fields[last]}", table_column=rest))  # fmt: skip
    told = time.monotonic()
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden, expand=True) as bar:
        task = bar.add_task(title, total=None, last="")

        def progress(done: int, total: int, last: str) -> None:
            nonlocal told
            bar.update(task, completed=done, total=total, last=last)
            if not console.is_terminal and time.monotonic() - told > 60:
                told = time.monotonic()
                console.print(f"{title}: {done} of {total}, {last}", soft_wrap=True)

        yield progress
