"""`cliptune train --config FILE` and `ct.train(config=FILE)`."""

import pytest
import yaml

import cliptune as ct
from cliptune.results import store


@pytest.fixture(scope="module")
def original(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("original") / "run"
    options = {"n_ctx": 2, "words": "", "lr": 0.01, "seed": 3, "shots": 2, "epochs": 1}
    ct.train("coop", data=f"folder:{photos}", **options, out=folder)
    return folder


def same(first, second):
    files = [folder / name for folder in (first, second) for name in ("config.yaml", "checkpoint.safetensors")]
    content = [file.read_bytes() for file in files]
    results = [store.load_result(folder / "result.json") for folder in (first, second)]
    assert content[0] == content[2] and content[1] == content[3]
    assert results[0].metrics == results[1].metrics and results[0].history == results[1].history


@pytest.mark.parametrize("method", [(), ("coop",)])
def test_a_configuration_alone_gives_the_same_run_to_the_bit(cli, tmp_path, original, method):
    result = cli("train", *method, "--config", original / "config.yaml", "--out", tmp_path / "again")
    assert result.code == 0, result.err
    same(original, tmp_path / "again")


def test_flags_override_the_file_which_may_be_the_folder(cli, tmp_path, original):
    result = cli("train", "--config", original, "--shots", 1, "--n-ctx=3", "--out", tmp_path / "again")
    assert result.code == 0, result.err
    changed, before = (store.load_result(f / "result.json").config for f in (tmp_path / "again", original))
    assert (changed["shots"], changed["method"]["n_ctx"]) == (1, 3)
    assert changed | {"shots": 2, "method": before["method"]} == before


def test_help_shows_the_values_of_the_file(cli, original):
    result = cli("train", "--config", original / "config.yaml", "--help")
    assert result.code == 0 and "those of --config" in result.out and "default: 0.01" in result.out


def test_a_file_of_an_earlier_version_without_newer_keys(cli, tmp_path, original):
    content = yaml.safe_load((original / "config.yaml").read_text())
    content["training"] = {"epochs": 1, "lr": 0.01}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(content))
    assert cli("train", "--config", tmp_path / "old.yaml", "--out", tmp_path / "r").code == 0


def test_python(tmp_path, original, photos):
    run = ct.train(config=original / "config.yaml", out=tmp_path / "again")
    same(original, tmp_path / "again")
    assert run.run.seed == 3
    changed = ct.train(config=original, data=f"folder:{photos}", shots=1, n_ctx=4).run
    assert (changed.shots, changed.method.n_ctx, changed.training.lr) == (1, 4, 0.01)
    for more in ({"method": "coop"}, {"preset": "auto"}):
        with pytest.raises(ct.UserError, match="exclude each other; leave one of them out"):
            ct.train(config=original, **more)
    with pytest.raises(ct.UserError, match="method is missing; choose one of .*coop.*config=FILE"):
        ct.train()


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("a: [", "config.yaml is not YAML"),
        ("[1, 2]", "config.yaml names no method, it contains [1, 2]; pass the config.yaml of a run"),
        ("", "config.yaml names no method"),
        ("method: coop", "config.yaml: a method must be a mapping of names to values, got 'coop'"),
        ("method: {name: cop}", "unknown method 'cop'; nearest: coop"),
        ("method: {name: coop, n_cxt: 2}", "unknown key 'n_cxt' for CoOp; nearest: n_ctx"),
        ("method: {name: coop}\nshot: 2", "unknown key 'shot' for RunConfig; nearest: shots"),
        ("method: {name: coop}\nshots: two", "shots='two' does not fit RunConfig; it takes int"),
        ("method: {name: coop}\ntraining: {lr: -1}", "lr must be"),
        ("method: {name: 'own:Own'}", "add --allow-code"),
    ],
)
def test_files_that_cannot_be_used(refused, tmp_path, content, sentence):
    (tmp_path / "config.yaml").write_text(content)
    assert sentence in refused("train", "--config", tmp_path / "config.yaml", "--out", "OUT")


def test_contradictions(refused, tmp_path, original):
    file = original / "config.yaml"
    assert "is a configuration of coop, not of maple" in refused("train", "maple", "--config", file, "--out", "OUT")
    assert "--preset none has no effect" in refused("train", "--config", file, "--preset", "none", "--out", "OUT")
    assert "cannot read" in refused("train", "--config", tmp_path / "none.yaml", "--out", "OUT")
    assert "nearest: --n-ctx" in refused("train", "--config", file, "--n-cxt", 3, "--out", "OUT")
    assert "a method (" in refused("train", "--shots", 2, "--out", "OUT")
