"""Values that are laid over others: nested plain ones, as YAML has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msma.files.reading import why, yaml_values
from msma.types import ConfigError


def overridden(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Nested `values` with texts `a.b=c` laid over them in turn; `c` is read as YAML."""
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set {override}: write it as section.key=value")
        try:
            changes = yaml_values(text)
        except Exception as error:  # the parser raises what it likes
            raise ConfigError(f"--set {override}: the value is not YAML ({why(error)})") from error
        for section in reversed(key.split(".")):
            changes = {section: changes}
        values = merged(values, changes)
    return values


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested `values` with `changes` laid over them, key by key; both stay as they are."""
    together = values | changes
    for key in values.keys() & changes.keys():
        if isinstance(values[key], dict) and isinstance(changes[key], dict):
            together[key] = merged(values[key], changes[key])
    return together
