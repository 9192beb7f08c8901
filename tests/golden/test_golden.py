"""The library reproduces numbers recorded from the official code."""

import json

import pytest

from golden.case import recordings
from golden.check import check
from golden.families import find

FOLDER = recordings()
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


ABSENT = pytest.mark.skip(reason=f"no recordings at {FOLDER} (set CLIPTUNE_GOLDEN to a folder of cases)")


@pytest.mark.parametrize("name", CASES or [pytest.param("none", marks=ABSENT)])
def test_case(name):
    method = json.loads((FOLDER / name / "case.json").read_text(encoding="utf-8"))["method"]
    if find(method) is None:
        pytest.skip(f"method {method!r} is not known to the checker")
    code, lines = check(FOLDER / name)
    assert code == 0, "\n".join(lines)


@pytest.mark.parametrize("name", ["coop_middle_ctx5_csc", "maple_depth3", "dapt_depth3", "dapt_gradcam_depth3"])
def test_case_through_onednn(name):
    if name not in CASES:
        pytest.skip(f"no recording {name} at {FOLDER}")
    code, lines = check(FOLDER / name, fast_linear=True)
    assert code == 0, "\n".join(lines)
