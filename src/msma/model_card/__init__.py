"""The card of a model (README.md beside its weights): made of the results of its run, or not at all."""

from msma.reports.card.card import model_card
from msma.reports.card.share import written_folder

__all__ = ["model_card", "written_folder"]
