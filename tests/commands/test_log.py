"""`--log` of `cliptune train` and `cliptune run`."""

from tiny_tasks import BRIEFLY

MINE = """
from cliptune.loggers.common.logger import Logger

class Mine(Logger):
    def finish(self, result, folder):
        (folder / "mine.txt").write_text(str(result.metrics["test"]))
"""


def test_train_and_run(cli, photos, tmp_path, monkeypatch):
    (tmp_path / "my_loggers.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    data = ("--data", f"folder:{photos}")
    result = cli("train", "coop", *data, *BRIEFLY, "--out", "a", "--log", "csv", "my_loggers:Mine", "--tensorboard")
    assert result.code == 0, result.err
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"log.csv", "mine.txt", "tensorboard"} <= names and "loggers.json" not in names
    flags = ("--methods", "coop", "--shots", 2, "--epochs", 1, "--seeds", 1, 2, "--out", "runs", "--log", "csv")
    result = cli("run", "few-shot", *data, *flags)
    assert result.code == 0, result.err
    assert len([*(tmp_path / "runs").rglob("log.csv")]) == 2


def test_wrong_names_are_refused_before_training(refused, photos):
    data = ("--data", f"folder:{photos}", "--out", "OUT")
    assert "nearest: wandb" in refused("train", "coop", *data, "--log", "wandbs")
    assert "nearest: csv" in refused("run", "few-shot", *data, "--methods", "coop", "--log", "csvs")
