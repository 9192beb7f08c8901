"""Fixtures of the command tests."""

import shlex
import shutil
from pathlib import Path

import pytest

from hub_server import hub_server  # noqa: F401
from tiny_tasks import BRIEFLY


@pytest.fixture
def refused(cli, tmp_path):
    """A function that runs a command which must fail, and returns its sentence; "OUT" is a folder to write to."""

    def call(*arguments) -> str:
        out = tmp_path / "never"
        result = cli(*[str(a).replace("OUT", str(out)) for a in arguments])
        assert result.code == 2, result
        assert result.out == "" and "Traceback" not in result.err
        lines = [line for line in result.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1 and lines[0].startswith("cliptune: "), result.err
        assert not out.exists(), "something was left behind"
        return lines[0]

    return call


@pytest.fixture
def train(refused, photos):
    def call(method="coop", *more, data=f"folder:{photos}") -> str:
        return refused("train", method, "--data", data, *BRIEFLY, "--out", "OUT", *more)

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos):
    """The folder of a small run of CoOp on `photos`."""
    from cliptune import train

    folder = tmp_path_factory.mktemp("trained")
    train("coop", data=f"folder:{photos}", shots=2, epochs=1, out=folder)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory, photos, trained):
    """Names for braces in the command lines of tables -> paths, of valid and of invalid files."""
    root = tmp_path_factory.mktemp("wrong")
    made = {
        name: root / name for name in ("empty", "one_class", "file", "text.png", "half.png", "list.csv", "long.csv")
    }
    made |= {name: root / name for name in ("split.json", "list.json", "w.pt", "w.safetensors", "names.txt", "logs")}
    for folder in ("empty", "one_class", "logs"):
        made[folder].mkdir()
    (made["one_class"] / "cat").mkdir()
    image = photos / "cat" / "0.png"
    shutil.copy(image, made["one_class"] / "cat" / "0.png")
    made["file"].write_text("")
    made["text.png"].write_text("no image at all")
    made["half.png"].write_bytes(image.read_bytes()[:60])
    made["list.csv"].write_text("a,b\n1,2\n")
    made["long.csv"].write_text("image,label\nnone.png,cat\nnot.png,dog\n")
    made["split.json"].write_text('{"train": 3}')
    made["list.json"].write_text("[")
    made["w.pt"].write_bytes(b"no weights")
    made["w.safetensors"].write_bytes(b"\xff" * 64)
    made["names.txt"].write_text("cat\n")
    more = {"none": root / "none", "photos": photos, "image": image, "trained": trained, "root": root}
    return {name: str(path) for name, path in (made | more).items()}


@pytest.fixture
def rejected(cli, places, tmp_path, monkeypatch):
    """A function that runs a command line, which must end with one sentence, exit code 2, and nothing written; returns
    the sentence."""
    monkeypatch.chdir(tmp_path)

    def listing():
        folders = (tmp_path, places["root"], places["photos"], places["trained"])
        return sorted((str(p), p.lstat().st_mtime_ns) for folder in map(Path, folders) for p in folder.rglob("*"))

    def call(line: str) -> str:
        before = listing()
        for name, path in places.items():
            line = line.replace(f"{{{name}}}", path)
        result = cli(*shlex.split(line))
        lines = [text for text in result.err.splitlines() if not text.startswith("note: ")]
        assert (result.code, result.out) == (2, ""), result
        assert len(lines) == 1 and lines[0].startswith("cliptune: "), result.err
        assert "Traceback" not in result.err and not set("│╭─") & set(result.err), result.err
        assert len(lines[0]) < 700, lines[0]
        assert listing() == before, "something was written"
        return lines[0]

    return call
