"""Every family of open_clip's models equals open_clip, and docs/backbones.md lists the methods that work on it."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import open_clip
import pytest

import narrow_configs
from contracts import families
from contracts.test_methods import PLAIN

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"
QUOTED = "<!-- PYTHONPATH=tests python -m contracts.families -->"


@pytest.fixture(autouse=True)
def quietly():
    """Silence open_clip's logging that the weights of each model are random."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    yield
    logging.disable(previous)


def same_as_open_clip(name: str, root: Path) -> None:
    with narrow_configs.narrow_timm():
        _, apart = families.differences(narrow_configs.folder(name, root / name))
    assert max(apart.values()) < families.EXACT, apart


@pytest.mark.parametrize("name", families.kinds())
def test_every_kind_is_exact(name, tmp_path):
    same_as_open_clip(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", open_clip.list_models())
def test_every_configuration_is_exact(name, tmp_path):
    same_as_open_clip(name, tmp_path)


def quoted() -> list[tuple[str, ...]]:
    """The rows of the page's table."""
    table = PAGE.read_text(encoding="utf-8").partition(QUOTED)[2].strip().partition("\n\n")[0]
    head, _, *rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()]
    assert head == families.HEAD
    return rows


def test_the_table_covers_every_configuration():
    assert sum(int(row[2]) for row in quoted()) == len(open_clip.list_models())
    assert {row[0] for row in quoted()} == set(families.FAMILIES.values())
    assert {row[3] for row in quoted()} == {"exact"}


def test_the_table_covers_every_method():
    """Each method is in one column, and the page names it there."""
    assert sorted(method for methods in families.COLUMNS.values() for method in methods) == PLAIN
    page = PAGE.read_text(encoding="utf-8").partition(QUOTED)[0]
    for column, methods in families.COLUMNS.items():
        sentence = page.partition(f"*{column}*")[2].partition(";")[0].partition(". ")[0]
        assert {*methods} == {*re.findall("`([a-z_]+)`", sentence)}, column


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "ViT-bigG-14-CLIPA", "mt5-base-ViT-B-32", "coca_base"])
def test_the_table_lists_the_methods_that_work(name, tmp_path):
    with narrow_configs.narrow_timm():
        made = families.row(name, families.kinds()[name], tmp_path)
    assert (made[0], *made[3:]) in {(row[0], *row[3:]) for row in quoted()}


@pytest.mark.slow
def test_the_table_is_the_commands_output(tmp_path):
    with narrow_configs.narrow_timm():
        rows = [families.row(name, names, tmp_path) for name, names in families.kinds().items()]
    assert families.joined(rows) == quoted()
