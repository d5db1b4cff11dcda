"""The files around the code agree with it: version, licence, pinned tools, the checks that the public CI calls."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import msma
from msma.evaluation.results import SCHEMAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_names_this_version_and_licence():
    citation = read_yaml("CITATION.cff")
    assert (citation["version"], citation["license"]) == (msma.__version__, PROJECT["license"])


def test_the_changelog_has_a_section_for_this_version():
    titles = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert titles[:2] == ["Unreleased", msma.__version__]


def test_the_changelog_groups_its_lines_as_keep_a_changelog_does():
    groups = re.findall(r"(?m)^### (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert set(groups) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_pre_commit_runs_the_pinned_ruff():
    (pinned,) = re.findall(r"(?m)^ruff==.+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    hooks = read_yaml(".pre-commit-config.yaml")["repos"][0]["hooks"]
    used = {name for hook in hooks for name in hook["additional_dependencies"] if name.startswith("ruff")}
    assert used == {pinned}


def test_the_public_ci_calls_the_one_check():
    steps = read_yaml(".github/workflows/ci.yml")["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_an_issue_template_asks_for_something(path):
    template = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(template)
    assert any(part.get("validations", {}).get("required") for part in template["body"])


def test_the_page_of_result_files_lists_every_schema():
    page = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| `(.+?)` \|", page) == list(SCHEMAS)


def test_the_package_says_that_it_is_typed():
    assert (Path(msma.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_every_package_of_an_extra_is_pinned(extra):
    def key(name: str) -> str:
        return re.split(r"[<>=!;\[]", name)[0].strip().lower().replace("_", "-")

    pinned = {key(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert {key(name) for name in PROJECT["optional-dependencies"][extra]} <= pinned
