"""Progress bars on stderr, handed to the library as plain callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from msma.train import Progress as TrainingProgress


@contextmanager
def progress_bar(doing: str, of_what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told (done, total)."""
    with _progress() as bar:
        task = bar.add_task(doing, total=None, note=of_what)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report


@contextmanager
def training_bar(steps: int) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar over steps, with the loss and the last validation."""
    with _progress() as bar:
        task = bar.add_task("training", total=steps, note="")
        validation = ""

        def report(event: TrainingProgress) -> None:
            nonlocal validation
            if event.validation is not None:
                scores = event.validation
                validation = f"val CCC {scores['ccc']:.3f}"
                bar.console.print(
                    f"step {event.step}/{steps}: loss {event.train_loss:.3f}, {validation} (constant 0), "
                    f"mean accuracy {scores['mean_accuracy']:.4f} (constant {event.constant_mean_accuracy:.4f})",
                    soft_wrap=True,
                )
            bar.update(task, completed=event.step, note=f"loss {event.train_loss:.3f} {validation}")

        yield report


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True, markup=False, highlight=False))
