"""The list of mutants is true to the code: each applies, and its tests exist. `tools/mutants.py` runs them."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TOOL = tool()


def test_there_are_thirty():
    assert len({mutant.name for mutant in TOOL.MUTANTS}) == len(TOOL.MUTANTS) == 30


@pytest.mark.parametrize("mutant", TOOL.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_of_valid_code(mutant):
    source = (ROOT / "src" / "cliptune" / mutant.file).read_text(encoding="utf-8")
    changed = TOOL.mutated(mutant, source)
    assert changed != source
    compile(changed, mutant.file, "exec")
    assert mutant.tests and all((ROOT / "tests" / test).is_file() for test in mutant.tests.split())


def test_a_text_that_is_not_found_is_an_error():
    stale = TOOL.Mutant("stale", "errors.py", "no such line", "", "test_files.py")
    with pytest.raises(ValueError, match="occurs 0 times in errors.py"):
        TOOL.mutated(stale, "class UserError: ...")
