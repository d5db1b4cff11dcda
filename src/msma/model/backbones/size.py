"""How large a model of somebody else's configuration is, known before any memory is taken for it.

An architecture may come with weights from elsewhere. Each number in it has a ceiling, and so has what they make
together: the numbers that the model holds, and those that it makes of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as registration

from msma.config import MAX_WINDOW_BYTES, ConfigError

MAX_SIZE, MAX_LAYERS = 2**20, 512
LAYER_WORDS = ("layer", "block", "depth", "level")
"""Words in the keys that count layers."""
MAX_NUMBERS = 2**31
"""Parameters and other numbers of a model: those of the largest `model.safetensors` that is read."""
MAX_MODULES = 20_000
"""Modules of a model; large ones have a thousand."""
FLOAT_BYTES = 4


def too_large(value: Any, key: str = "") -> bool:
    """Is any number of a configuration beyond its ceiling, which is low for lists and keys that count layers?"""
    if isinstance(value, dict):
        return any(too_large(inner, str(name)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return len(value) > MAX_LAYERS or any(too_large(inner, key) for inner in value)
    counts_layers = any(word in key.lower() for word in LAYER_WORDS)
    return isinstance(value, int | float) and abs(value) > (MAX_LAYERS if counts_layers else MAX_SIZE)


@contextmanager
def bounded() -> Iterator[None]:
    """A block that builds a model: ValueError at the first of its modules or numbers that is one too many."""
    numbers = modules = 0

    def hold(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        nonlocal numbers
        numbers += 0 if tensor is None else tensor.numel()
        if numbers > MAX_NUMBERS:
            raise ValueError(f"more than {MAX_NUMBERS:,} parameters")

    def have(_module: nn.Module, _name: str, _part: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > MAX_MODULES:
            raise ValueError(f"more than {MAX_MODULES:,} modules")

    hooks = (
        registration.register_module_parameter_registration_hook(hold),
        registration.register_module_buffer_registration_hook(hold),
        registration.register_module_module_registration_hook(have),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def largest_outputs(network: nn.Module) -> Iterator[list[int]]:
    """The numbers in every output of a part of the network that is called within the block."""
    found = [0]

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        found.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [part.register_forward_hook(note) for part in network.modules()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def refuse_window(name: str, largest: float, tokens: float, heads: Any, settings: str) -> None:
    """ConfigError for a window of which a model makes more than MAX_WINDOW_BYTES: its `largest` output, in numbers, or
    the attention of one reading, between all its tokens."""
    count = max(heads) if isinstance(heads, list | tuple) else heads
    needed = FLOAT_BYTES * max(largest, tokens**2 * (count if isinstance(count, int) else 1))
    if needed > MAX_WINDOW_BYTES:
        sizes = f"{needed / 1024**3:.1f} GiB, more than {MAX_WINDOW_BYTES / 1024**3:g}"
        raise ConfigError(f"{name}: makes {sizes}, of a window; lower {settings}, or take a smaller model")
