"""A named pipe in place of a file is refused or replaced; no command blocks on it."""

import os
import shutil

import pytest

import damaged_files
from cliptune import dir_lock
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT, CONFIG, CORESET, RESUME, STAGE
from tiny_tasks import BRIEFLY, write_images

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    import cliptune as ct

    folder = tmp_path_factory.mktemp("run")
    ct.train("coop", data=f"folder:{photos}", shots=2, epochs=1, out=folder)
    return folder


@pytest.fixture
def run_command(cli):
    def call(*arguments):
        with damaged_files.time_limit(60):
            return cli(*arguments)

    return call


def pipe(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", [CHECKPOINT, store.RESULT_FILE, "background.json", "runs/log.txt", "model.pth.tar-5"])
def test_pipes_in_place_of_read_files(run_command, run, tmp_path, photos, name):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    pipe(folder / name)
    image = photos / "cat" / "0.png"
    commands = {
        CHECKPOINT: [("predict", folder, image), ("evaluate", folder)],
        store.RESULT_FILE: [("report", folder), ("results", "table", folder)],
        "background.json": [("report", folder, "--pictures", 0)],
        "runs/log.txt": [("results", "import", folder / "runs", "--out", tmp_path / "out")],
        "model.pth.tar-5": [("import", folder / name, "--out", tmp_path / "out")],
    }
    for command in commands[name]:
        result = run_command(*command)
        assert result.code == 2 and name.rpartition("/")[2] in result.err, result
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", [CONFIG, CORESET, RESUME, STAGE.format(1), dir_lock.LOCK_FILE, store.RESULT_FILE, CHECKPOINT]
)
def test_pipes_in_the_output_folder(run_command, tmp_path, photos, name):
    """Ignored where a file is only looked for, refused where it would be written."""
    place = pipe(tmp_path / "run" / name)
    if name == dir_lock.LOCK_FILE:
        os.utime(place, (1, 1))
    flags = ("--data", f"folder:{photos}", *BRIEFLY, "--fraction", 0.5, "--out", tmp_path / "run")
    result = run_command("train", "coop", *flags)
    if name in (dir_lock.LOCK_FILE, STAGE.format(1)):
        assert result.code == 0 and run_command("evaluate", tmp_path / "run").code == 0
    else:
        assert result.code == 2 and f"{name} is a device or a pipe" in result.err, result


@pytest.mark.parametrize("option", ["csv:{}", "json:{}", "--draws", "--masks-from box:{}", "--classes"])
def test_pipes_in_place_of_input_files(run_command, tmp_path, run, option):
    photos = write_images(tmp_path / "photos", each=3)
    suffix = {"csv:{}": ".csv", "json:{}": ".json", "--masks-from box:{}": ".csv"}.get(option, ".pkl")
    place = pipe(tmp_path / f"given{suffix}")
    own = ("--shots", 1, "--epochs", 1, "--out", tmp_path / "never")
    data = f"folder:{photos}"
    command = {
        "--draws": ("train", "coop", "--data", data, "--draws", place, *own),
        "--masks-from box:{}": (
            "train",
            "coop+dapt",
            "--data",
            f"folder:{photos}",
            "--masks-from",
            f"box:{place}",
            *own,
        ),
        "--classes": ("predict", run, photos / "cat" / "0.png", "--classes", place),
    }.get(option, ("train", "coop", "--data", option.format(place), *own))
    result = run_command(*command)
    assert result.code == 2 and not (tmp_path / "never").exists()
    assert len([line for line in result.err.splitlines() if not line.startswith("note: ")]) == 1
