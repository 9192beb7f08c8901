"""Every command that takes a run takes the name of one on the hub."""

import shlex
import shutil

import pytest

import cliptune as ct
from cliptune.commands import COMMANDS

#: Commands with a run; {out} is a file or folder to write.
LINES = [
    "predict {run} {image}",
    "evaluate {run} --details",
    "export {run} --to numpy --out {out}",
    "push {run} alice/copy --out {out}",
    "report {run} --pictures 1 --images 4 --out {out}",
    "background {run} --images 4",
    "results table {run}",
    "data mislabelled {run}",
    "data show {data} --masks-from gradcam --run {run} --out {out}.png",
    "masks check gradcam --data {data} --run {run}",
    "train --config {run} --data {data} --epochs 1 --out {out}",
    "train promptkd --teacher {run} --data {data} --epochs 1 --depth 2 --out {out}",
]
#: Commands that serve until they are interrupted, and the function that serves.
SERVERS = {"serve": "cliptune.serving.server.serve", "app": "cliptune.app.server.serve_page"}

pytestmark = pytest.mark.filterwarnings("ignore:the configuration names", "ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def run(trained, hub_server, tmp_path, monkeypatch):
    """A run directory that is published as alice/pets."""
    monkeypatch.chdir(tmp_path)
    ct.load(trained).push("alice/pets")
    return shutil.copytree(trained, tmp_path / "run")


@pytest.mark.parametrize("line", LINES)
def test_the_answer_is_that_of_the_folder(line, cli, run, photos, tmp_path):
    answers = []
    for name, out in ((run, tmp_path / "local"), ("hf:alice/pets", tmp_path / "hub")):
        places = {"run": name, "out": out, "data": f"folder:{photos}", "image": photos / "cat" / "0.png"}
        result = cli(*shlex.split(line.format(**places)))
        assert result.code == 0, result.err
        answers.append(result.out.replace(str(out), "OUT"))
        assert "{out}" not in line or [*tmp_path.glob(f"{out.name}*")]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", SERVERS)
def test_servers(name, cli, run, monkeypatch):
    for package in ("fastapi", "uvicorn", "python_multipart", *(["gradio"] if name == "app" else [])):
        pytest.importorskip(package)
    served = []
    monkeypatch.setattr(SERVERS[name], lambda *given: served.append(given))
    result = cli(name, "hf:alice/pets", "--port", 0)
    assert result.code == 0 and served[0][1] == "pets", result.err


@pytest.mark.parametrize("line", [*LINES, *(f"{name} {{run}} --port 0" for name in SERVERS)])
def test_a_name_that_is_not_there_is_refused(line, refused, hub_server, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"out": "OUT", "data": f"folder:{photos}", "image": photos / "cat" / "0.png"}
    for name, reason in (("hf:alice/none", "there is no model alice/none at"), ("hf:pets", "use hf:USER/MODEL")):
        assert reason in refused(*shlex.split(line.format(run=name, **places)))
    assert {path.name for path in tmp_path.iterdir()} <= {"cliptune-cache"}


def test_the_page_of_a_run_on_the_hub_is_written_here(cli, run, tmp_path):
    result = cli("report", "hf:alice/pets", "--pictures", 0)
    assert result.code == 0 and (tmp_path / "report.html").is_file(), result.err


def test_no_command_is_forgotten():
    tested = {line.split()[0] for line in [*LINES, *SERVERS]}
    assert {name for name, line in COMMANDS.items() if f"{name} RUN" in line} <= tested
