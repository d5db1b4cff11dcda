"""A model on the Hugging Face hub: weights, configuration, calibration and card, or nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from msma.files import write_whole
from msma.reports.card.card import model_card
from msma.types import MsmaError
from msma.weights.checkpoint import Weights, calibration_sha256, load_weights, save_pretrained, weights_sha256
from msma.weights.hub import push


def share(
    weights: Weights,
    repository: str,
    run: Path | None,
    *,
    private: bool = False,
    licence: str | None = None,
    origin: str | None = None,
) -> str:
    """Write what is shared of a model to the hub and return the address of the commit; see `written_folder`.

    Raises:
        MsmaError: see `written_folder` and `msma.weights.hub.push`.
    """
    with TemporaryDirectory() as folder:
        written_folder(Path(folder), weights, run, repository, licence=licence, origin=origin)
        return push(repository, Path(folder), private=private)


def written_folder(
    folder: Path,
    weights: Weights,
    run: Path | None,
    repository: str | None = None,
    *,
    licence: str | None = None,
    origin: str | None = None,
) -> None:
    """Write all that is shared of a model, and read it back to see that it is the same.

    Args:
        run: where its results are; by default where the weights were loaded from. Else as `model_card`.

    Raises:
        MsmaError: there is no card without results: see `model_card`.
    """
    home = run or weights.folder
    if home is None:
        raise MsmaError(f"{weights.name}: name the run that its results are in")
    card = model_card(weights, home, repository, licence=licence, origin=origin)
    save_pretrained(folder, weights)
    write_whole(folder / "README.md", card)
    again = load_weights(folder)
    if digests(again) != digests(weights):
        raise MsmaError(f"{folder}: what was written is not what is shared; is something else writing there?")


def digests(weights: Weights) -> tuple[str, str | None]:
    return weights_sha256(weights), calibration_sha256(weights)
