"""The card of a model (README.md beside its weights): made of the results of its run, or not at all."""

from msma.model_card.card import model_card
from msma.model_card.folder import written_folder

__all__ = ["model_card", "written_folder"]
