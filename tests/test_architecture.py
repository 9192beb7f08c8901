"""docs/architecture.md names the packages, layers, files and functions that exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "cliptune"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEP = re.compile(r"^\d+\. (`([\w/]+\.py):.*)$", re.MULTILINE)
WALKS = {section.split("\n")[0]: section for section in PAGE.split("\n## ")[1:] if STEP.search(section)}


def definitions(file):
    """Functions and classes of a file, methods as Class.method."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


def test_packages_are_listed_in_the_order_of_the_layers():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    packages = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert sorted(listed) == sorted(name for name in packages if not name.startswith("__"))
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(c for c in config["tool"]["importlinter"]["contracts"] if c["name"] == "packages")
    level = {name: i for i, layer in enumerate(contract["layers"]) for name in re.findall(r"\w+", layer)}
    assert [level[name] for name in listed] == sorted(level[name] for name in listed)


def test_there_are_three_walks():
    assert len(WALKS) == 3
    for walk in WALKS.values():
        assert len(re.findall(r"^\d+\. ", walk, re.MULTILINE)) == len(STEP.findall(walk)) > 10


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_a_walk_names_what_exists_and_opens_each_file_once(walk):
    files = [file for _, file in STEP.findall(walk)]
    assert len(files) == len(set(files))
    anywhere = {name for path in PACKAGE.rglob("*.py") for name in definitions(path) if name[0].isupper()}
    for step, file in STEP.findall(walk):
        here = definitions(PACKAGE / file)
        names = [name.removeprefix(f"{file}:") for name in re.findall(r"`([^`]+)`", step)]
        assert names[0] in here, f"{file} defines no {names[0]}"
        for name in names:
            if re.fullmatch(r"[a-z_]\w*", name):
                assert name in here, f"{file} defines no {name}"
            elif re.fullmatch(r"[A-Z]\w*(\.\w+)?", name):
                assert name in here | anywhere, f"there is no {name}"
