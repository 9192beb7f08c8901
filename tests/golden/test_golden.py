"""The library reproduces numbers recorded from the official code."""

import json

import pytest

from golden.case import recordings
from golden.check import check
from golden.families import find

FOLDER = recordings()
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


@pytest.mark.skipif(not (FOLDER / "index.json").is_file(), reason=f"{FOLDER} has no index of its cases")
def test_every_recorded_case_exists():
    listed = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    assert CASES and CASES == sorted(entry["case"] for entry in listed)


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    method = json.loads((FOLDER / name / "case.json").read_text(encoding="utf-8"))["method"]
    if find(method) is None:
        pytest.skip(f"method {method!r} is not known to the checker")
    code, lines = check(FOLDER / name)
    assert code == 0, "\n".join(lines)


@pytest.mark.parametrize(
    "name",
    [
        "coop_middle_ctx5_csc",
        "dapt_depth3",  # the prompts of maple_depth3, and more views
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("maple_depth3", "dapt_gradcam_depth3")),
    ],
)
def test_case_through_onednn(name):
    if name not in CASES:
        pytest.skip(f"no recording {name} at {FOLDER}")
    code, lines = check(FOLDER / name, linear_backend="onednn")
    assert code == 0, "\n".join(lines)
