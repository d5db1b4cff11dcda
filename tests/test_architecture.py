"""The floors of the house: a module imports from lower floors and from its own package, never sideways or upwards."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "msma"
FLOORS = (
    {"types"},
    {"files", "metrics"},
    {"config"},
    {"media"},
    {"corruptions", "model"},
    {"weights"},
    {"data", "prediction"},
    {"evaluation", "__init__"},
    {"training"},
    {"reports"},
    {"serve"},
    {"cli"},
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
MODULES = sorted(ROOT.rglob("*.py"))
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def part_of(path: Path) -> str:
    """The module or package right below msma that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: write the whole name of the module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@every_module
def test_a_module_imports_from_lower_floors_and_its_own_package_only(path):
    own = part_of(path)
    names = [name.split(".") for name in imports(path) if name.split(".")[0] == "msma"]
    imported = {name[1] if len(name) > 1 and name[1] in FLOOR_OF else "__init__" for name in names} - {own}
    assert {part for part in imported if FLOOR_OF[part] >= FLOOR_OF[own]} == set()


@every_module
def test_only_media_touches_the_decoder(path):
    assert part_of(path) == "media" or not any(name.split(".")[0] == "av" for name in imports(path))


@every_module
def test_only_the_command_line_prints_or_exits(path):
    spoken = {"print", "exit", "sys.exit", "sys.stdout"}
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    assert part_of(path) == "cli" or not used & spoken


def test_no_module_is_a_drawer_for_everything():
    assert not [path for path in MODULES if path.stem in ("utils", "util", "helpers", "common", "misc")]


@pytest.mark.parametrize(
    "code",
    ["import msma", "import sys; sys.argv = ['msma', '--help']; import msma.cli; msma.cli.main()"],
    ids=["import msma", "msma --help"],
)
def test_torch_is_not_loaded_before_it_is_needed(code):
    report = "import atexit, sys; atexit.register(lambda: sys.stderr.write(f'torch: {\"torch\" in sys.modules}'))"
    ran = subprocess.run([sys.executable, "-c", f"{report}; {code}"], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "torch: False")


def test_the_root_is_small_enough_to_be_read_at_a_glance():
    entries = {path.name for path in ROOT.iterdir() if path.name not in ("__pycache__", "py.typed")}
    assert len(entries) <= 16
