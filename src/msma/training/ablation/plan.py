"""The plan of an ablation study: a recipe, and small files of the keys that differ from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msma.config import ConfigError, Recipe, with_changes
from msma.files.reading import read_mapping

FULL = "full"
"""The recipe itself, to which the others are compared."""
PAPER = {"base": "base", "no_modal_enhancement": "+ MSFEM", "no_multiscale": "+ MAS", FULL: "+ both"}
"""The rows of the paper's table, by ablation."""
SECTIONS = ("model", "train")
"""What an ablation may change: all networks read the same clips in the same way."""


@dataclass(frozen=True)
class Ablation:
    name: str
    recipe: Recipe
    changes: dict[str, Any]
    """The values that differ from the recipe, by dotted key."""


@dataclass(frozen=True)
class Plan:
    """The recipe itself and its ablations."""

    ablations: tuple[Ablation, ...]
    left_out: dict[str, str]
    """Why a file of the folder is no ablation of this recipe, by name."""


def plan_ablations(recipe: Recipe, folder: Path, only: Sequence[str] = ()) -> Plan:
    """The recipe and its ablations, of which `folder` has a YAML each; or the `only` ones that are named. ConfigError
    where there is no such folder or name, or a file does not fit the recipe."""
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not files:
        raise ConfigError(
            f"{folder}: no ablations there (YAML files of the keys that differ); name their folder with --ablations"
        )
    for name in files:
        if name == FULL or not re.fullmatch(r"[a-z0-9_]+", name):
            raise ConfigError(f"{files[name]}: call it otherwise: a-z, 0-9 and _, and not {FULL}, the recipe itself")
    for name in only:
        if name != FULL and name not in files:
            raise ConfigError(f"--only {name}: no such ablation; {folder} has {', '.join(files)}")
    ablations, left_out = [Ablation(FULL, recipe, {})], {}
    for name, path in files.items():
        if only and name not in only:
            continue
        ablated = with_changes(recipe, with_steps(read_ablation(path), recipe.train.steps), str(path))
        same = next((other.name for other in ablations if other.recipe == ablated), None)
        if same is None:
            ablations.append(Ablation(name, ablated, differences(recipe, ablated)))
        else:
            left_out[name] = "changes nothing in this recipe" if same == FULL else f"is the same as {same} here"
    return Plan(tuple(ablations), left_out)


def read_ablation(path: Path) -> dict[str, Any]:
    """The keys that differ, by section; ConfigError where it is unreadable, or changes nothing or what all share."""
    changes = read_mapping(path, f"an ablation is a mapping with the sections {', '.join(SECTIONS)}")
    if not changes:
        raise ConfigError(f"{path}: names no key; an ablation holds the keys that differ from the recipe")
    for section, values in changes.items():
        if section not in SECTIONS:
            raise ConfigError(f"{path}: {section}: an ablation changes {' and '.join(SECTIONS)} only")
        if section == "train" and isinstance(values, dict) and "seed" in values:
            raise ConfigError(f"{path}: train.seed: every ablation is trained with the same seeds; see --seeds")
    return changes


def with_steps(changes: dict[str, Any], steps: int) -> dict[str, Any]:
    """The changes with a number for `train.steps: 2x`, twice those of the recipe."""
    train = changes.get("train")
    times = re.fullmatch(r"([1-9]\d?)x", str(train.get("steps"))) if isinstance(train, dict) else None
    return (
        changes | {"train": {**train, "steps": int(times[1]) * steps}} if times and isinstance(train, dict) else changes
    )


def differences(one: Recipe, other: Recipe) -> dict[str, Any]:
    """The values of `other` that differ from those of `one`, by dotted key; plain JSON values."""
    first, second = one.model_dump(mode="json"), other.model_dump(mode="json")
    return {
        f"{section}.{key}": values.get(key)  # what is None may not be written
        for section, values in second.items()
        for key in first[section] | values
        if first[section].get(key) != values.get(key)
    }
