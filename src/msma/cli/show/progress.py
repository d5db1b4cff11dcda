"""Progress bars on stderr, handed to the library as plain callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import progress
from rich.text import Text

from msma.cli.show.tables import stderr

if TYPE_CHECKING:
    from msma.training.run import Validation


@contextmanager
def progress_bar(doing: str, of_what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for reports of (done, total), with how many are done in a second; shown from the first one to the last."""
    with _progress(RateColumn(of_what)) as bar:
        task = bar.add_task(doing, total=None, start=False)

        def report(done: int, total: int) -> None:
            bar.start()
            bar.start_task(task)
            bar.update(task, completed=done, total=total)
            if done >= total:
                bar.stop()

        yield report


@contextmanager
def training_bar(steps: int) -> Iterator[Callable[[int, float, Validation | None], None]]:
    """A bar over steps, with the loss and the last validation."""
    with _progress(progress.TextColumn("{task.fields[note]}")) as bar:
        task = bar.add_task("training", total=steps, start=False, note="")
        validation = ""

        def report(step: int, loss: float, scores: Validation | None) -> None:
            nonlocal validation
            bar.start()
            bar.start_task(task)
            if scores is not None:
                validation = f"val mean accuracy {scores.mean_accuracy:.4f}"
                bar.console.print(
                    f"step {step}/{steps}: loss {loss:.3f}, {validation} (constant "
                    f"{scores.constant_mean_accuracy:.4f}), CCC {scores.ccc:.3f} (constant 0)",
                    soft_wrap=True,
                )
            bar.update(task, completed=step, note=f"loss {loss:.3f} {validation}")

        yield report


class RateColumn(progress.ProgressColumn):
    """How many are done in a second, of late."""

    def __init__(self, of_what: str) -> None:
        super().__init__()
        self.of_what = of_what

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(self.of_what if speed is None else f"{speed:.1f} {self.of_what}/s")


@contextmanager
def _progress(middle: progress.ProgressColumn) -> Iterator[progress.Progress]:
    """Not shown before it is started: two at once would write over each other."""
    counts = (progress.BarColumn(bar_width=20), progress.MofNCompleteColumn())
    times = (progress.TimeElapsedColumn(), "ETA", progress.TimeRemainingColumn())
    bar = progress.Progress("{task.description}", *counts, middle, *times, console=stderr())
    try:
        yield bar
    finally:
        if bar.live.is_started:
            bar.stop()
