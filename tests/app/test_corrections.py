"""Corrections become a table that trains."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import cliptune as ct
from cliptune.app.corrections import Corrections
from cliptune.commands.app import App
from cliptune.commands.parse import parse
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.errors import UserError


def test_the_table_is_data_for_training(photos, tmp_path):
    corrections = Corrections(tmp_path / "fixed")
    assert not corrections.folder.exists()
    files = [photos / name / f"{n}.png" for name in ("cat", "pig") for n in range(5)]
    counts = [corrections.add(file, f" {file.parent.name} ") for file in files]
    assert counts == list(range(1, 11))
    data = sources.get(f"csv:{corrections.table}", DataConfig())
    assert data.classnames == ("cat", "pig") and len(corrections.rows()) == 10
    run = ct.train("coop", data=f"csv:{corrections.table}", shots=1, epochs=1)
    assert run.classnames == ("cat", "pig")


def test_a_later_correction_replaces_an_earlier_one(photos, tmp_path):
    corrections = Corrections(tmp_path)
    copy = tmp_path / "other name,\n=1.png"
    copy.write_bytes((photos / "cat" / "0.png").read_bytes())
    assert corrections.add(photos / "cat" / "0.png", "cat") == 1
    assert corrections.add(copy, 'a "big", cat') == 1
    assert corrections.add(photos / "pig" / "0.png", "pig") == 2
    assert sorted(Corrections(tmp_path).rows().values()) == ['a "big", cat', "pig"]
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_two_processes_lose_no_row(tmp_path):
    code = (
        "import sys; from pathlib import Path; from cliptune.app.corrections import Corrections\n"
        "name, folder = sys.argv[1], Path(sys.argv[2])\n"
        "print('ready', flush=True), sys.stdin.readline()\n"
        "for i in range(40):\n"
        "    (file := folder / f'{name}{i}.png').write_text(file.name)\n"
        "    Corrections(folder / 'fixed').add(file, name)\n"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, name, str(tmp_path)], **pipes) for name in ("cat", "pig")]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(Corrections(tmp_path / "fixed").rows().values()) == ["cat"] * 40 + ["pig"] * 40


def test_what_is_no_table_of_corrections_is_kept(photos, tmp_path):
    (tmp_path / "corrections.csv").write_text("my,own\n")
    with pytest.raises(UserError, match="choose another folder with --corrections"):
        Corrections(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        Corrections(tmp_path / "file")
    assert (tmp_path / "corrections.csv").read_text() == "my,own\n"


def test_labels_are_lines_of_text(photos, tmp_path):
    corrections = Corrections(tmp_path / "fixed")
    for label in (" ", "a\nb"):
        with pytest.raises(UserError, match="is not a printable line of text"):
            corrections.add(photos / "cat" / "0.png", label)
    assert not corrections.folder.exists()


def test_the_manual_names_the_table_that_is_written():
    text = (Path(__file__).parents[2] / "docs" / "app.md").read_text(encoding="utf-8")
    commands = [shlex.split(line)[1:] for line in re.findall(r"^cliptune .*$", text, re.MULTILINE)]
    assert [words[0] for words in commands] == ["train", "train", "app", "train"]
    options = parse(App, "app", commands[2][1:])
    assert options.runs == ("coop", "maple") and options.address.port == 7860
    assert f"csv:{Corrections(options.corrections).table}" in commands[3]
