"""`import cliptune` is light, and so are commands that neither train nor predict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cliptune
from cliptune.commands import COMMANDS
from cliptune.commands.groups import SUBCOMMANDS

HEAVY = ("torch", "torchvision", "open_clip", "lightning_fabric", "matplotlib", "transformers")
#: Runs each command line in turn and prints which heavy libraries were loaded after it.
MANY = """
import contextlib, io, json, sys
from cliptune.cli import main
lines, heavy = json.load(sys.stdin)
for line in lines:
    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main(line)
        except SystemExit as stop:
            code = stop.code
    there = [name for name in heavy if name in sys.modules]
    print(json.dumps([code, there, output.getvalue()]), flush=True)
"""
HELPS = [
    ["--help"],
    *([command, "--help"] for command in COMMANDS),
    *([group, kind, "--help"] for group, kinds in SUBCOMMANDS.items() for kind in kinds),
    ["data", "download", "masks", "--help"],
]


@pytest.mark.parametrize("heavy", ["torch", "open_clip", "matplotlib"])
def test_import_loads_no_heavy_library(heavy):
    code = f"import cliptune, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code]).returncode == 0


def run(lines, cwd):
    """Exit code, heavy libraries and text of each command line, all in one process."""
    given = json.dumps([lines, HEAVY])
    env = {**os.environ, "PYTHONPATH": str(Path(cliptune.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", MANY], input=given, capture_output=True, text=True, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A folder with one record of a run."""
    from cliptune.results import store
    from cliptune.types import Result

    folder = tmp_path_factory.mktemp("records")
    config = {"protocol": "few_shot", "shots": 4, "backbone": "tiny", "method": {"name": "coop"}}
    store.save_result(
        Result("few_shot/emoji/4/1", "coop", "emoji", 1, {"test": 50.0}, config), folder / "coop" / "seed1"
    )
    return folder


LOG = """Finish training
Evaluate on the *test* set
=> result
* total: 100
* correct: 51
* accuracy: 51.0%
"""


def test_commands_that_neither_train_nor_predict_load_no_torch(tmp_path, records, photos):
    log = tmp_path / "logs/dtd/CoOp/vit_b16_16shots/seed1/log.txt"
    log.parent.mkdir(parents=True)
    log.write_text(LOG)
    right = [
        ["--version"],
        *HELPS,
        ["train", "coop", "--help"],
        ["list", "methods"],
        ["list", "backbones"],
        ["list", "data"],
        ["data", "list", "--format", "json"],
        ["data", "download", "dtd", "--root", str(tmp_path), "--dry-run"],
        ["results", "table", str(records)],
        ["results", "published"],
        ["results", "import", str(tmp_path / "logs"), "--out", str(tmp_path / "again")],
        ["run", "few-shot", "--data", f"folder:{photos}", "--dry-run"],
    ]
    wrong = [
        ["trian"],
        ["data", "chek"],
        ["data", "check", str(tmp_path)],
        ["train", "coopp"],
        ["train", "coop", "--epochz", "3"],
        ["train", "coop", "--lr", "much"],
        ["train", "coop", "--data", f"folder:{photos}", "--log", "csvs", "--out", str(tmp_path / "out")],
        ["train", "coop", "--data", "nope"],
        ["train", "coop", "--data", "folder:nope"],
        ["train", "coop", "--backbone", "ViT-B-17"],
        ["run", "few-shots-of"],
        ["run", "few-shot", "--methods", "coopp"],
        ["run", "few-shot", "--selectors", "herdin"],
        ["run", "few-shot", "--selectors", "uncertainty,measur=entropy"],
        ["predict", "runs/train", "--topk", "3"],
        ["evaluate", "runs/train", "--dat", "x"],
        ["background", "runs/train", "--image", "3"],
        ["import", str(records / "coop" / "seed1" / "result.json"), "--outt", "x"],
    ]
    printed = run([*right, *wrong], tmp_path)
    for line, (code, there, text) in zip([*right, *wrong], printed, strict=True):
        assert not there, f"{' '.join(line)} loads {there}"
        assert code == (0 if line in right else 2), (line, text)
