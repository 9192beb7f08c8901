"""`cliptune tune METHOD`, and the preset that it writes."""

import builtins
import sys

import pytest
import yaml

from tiny_tasks import BRIEFLY


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    from cliptune.config import method_to_dict
    from cliptune.dataclass_io import to_plain
    from cliptune.engine.config import TrainConfig
    from cliptune.methods.coop import CoOp

    file = tmp_path_factory.mktemp("preset") / "best.yaml"
    content = {"method": method_to_dict(CoOp(n_ctx=3, words="")), "training": to_plain(TrainConfig(lr=0.03, epochs=1))}
    file.write_text(yaml.safe_dump(content))
    return file


def test_search_and_the_command_after_it(cli, tmp_path, photos):
    out = tmp_path / "out"
    data = ("--data", f"folder:{photos}", *BRIEFLY, "--min-steps", 0)
    result = cli("tune", "coop", *data, "--trials", 2, "--out", out)
    assert result.code == 0, result.err
    assert result.out.startswith("start  ") and "\nbest   " in result.out
    assert "space: lr=log:0.01:1 (by default; --space replaces it)" in result.err
    assert "2 trials: 2 complete, 0 pruned, 0 failed; 2-fold cross-validation over 6 images" in result.err
    assert "6 images are few" in result.err and "is optimistic" in result.err
    command = result.err.partition("next: cliptune ")[2].split()
    assert command[:2] == ["train", "coop"] and command[-2:] == ["--preset", str(out / "best.yaml")]
    trained = cli(*command, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["training"]["lr"] == yaml.safe_load((out / "best.yaml").read_text())["training"]["lr"]


def test_a_preset_file_in_a_sweep_is_for_its_method(cli, tmp_path, photos, preset):
    run = ("run", "few-shot", "--methods", "coop", "vpt", "--shots", 1, "--seeds", 1, "--data", f"folder:{photos}")
    result = cli(*run, "--preset", preset, "--dry-run", "--out", tmp_path / "out")
    assert result.code == 0 and f"no preset '{preset}' of vpt: auto is used instead" in result.err


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("a: [", "best.yaml cannot be used"),
        ("training: {}", "a preset has the keys method and training, got training"),
        ("method: {name: maple}\ntraining: {}", "is of maple, not of coop; choose another --preset"),
        ("method: {name: coop, n_cxt: 2}\ntraining: {}", "unknown key 'n_cxt' for CoOp; nearest: n_ctx"),
        ("method: {name: coop}\ntraining: {lr: high}", "lr='high' does not fit TrainConfig"),
        ("method: {name: 'own:Own'}\ntraining: {}", "code outside of cliptune"),
    ],
)
def test_preset_files_that_cannot_be_used(train, tmp_path, content, sentence):
    (tmp_path / "best.yaml").write_text(content)
    assert sentence in train("coop", "--preset", tmp_path / "best.yaml")


def test_a_missing_preset_file(train, tmp_path):
    assert "cannot read" in train("coop", "--preset", tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--space", "n_cxt=2,4"), "unknown setting 'n_cxt' in --space; nearest: n_ctx"),
        (("--trials", 1), "trials must be at least 2"),
        (("--processes", -1), "processes must be from 0"),
        (("--address", "auto"), "--address is for --runner ray"),
        (("--gpus-per-task", 1), "--gpus-per-task is for --runner ray"),
        (("--runner", "slurm"), "slurm"),
        (("--trails", 3), "nearest: --trials"),
        (("--protocol", "few"), "unknown protocol"),
    ],
)
def test_refusals(refused, photos, flags, sentence):
    command = ("tune", "coop", "--data", f"folder:{photos}", *BRIEFLY, "--min-steps", 0, "--out", "OUT")
    assert sentence in refused(*command, *flags)


def test_without_optuna(refused, photos, monkeypatch):
    def no_optuna(name, *args, **kwargs):
        if name.partition(".")[0] == "optuna":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_optuna)
    sentence = refused("tune", "coop", "--data", f"folder:{photos}", "--out", "OUT")
    assert sentence == 'cliptune: tuning needs the package optuna: pip install "cliptune[tune]"'


def test_without_ray(refused, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ("tune", "coop", "--data", f"folder:{photos}", *BRIEFLY, "--min-steps", 0, "--out", "OUT")
    sentence = refused(*command, "--space", "lr=0.1,0.2", "--runner", "ray")
    assert sentence == 'cliptune: --runner ray needs the package ray: pip install "cliptune[ray]"'


def test_a_folder_with_something_else(refused, photos, tmp_path):
    (tmp_path / "study.db").write_text("no database")
    command = ("tune", "coop", "--data", f"folder:{photos}", *BRIEFLY, "--min-steps", 0, "--out", tmp_path)
    command = (*command, "--space", "lr=0.1,0.2")
    assert "study.db cannot be used" in refused(*command) and (tmp_path / "study.db").read_text() == "no database"
