"""`import cliptune` is light: heavy libraries come with first use."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["torch", "open_clip", "matplotlib"])
def test_import_leaves_heavy_libraries_alone(heavy):
    code = f"import cliptune, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code]).returncode == 0
