"""Push runs to the hub and load them from there, with the real client and a server on this machine."""

import json
import shutil

import pytest
import torch

import cliptune as ct
from cliptune.engine.checkpoint import read_checkpoint, write_checkpoint
from cliptune.errors import UserError
from hub_server import READ_TOKEN

pytestmark = pytest.mark.filterwarnings(
    "ignore:the configuration names",
    "ignore:backbone 'tiny' was not trained on",
    "ignore:Use 'content=:DeprecationWarning",
)


def test_a_pushed_run_is_loaded_and_predicts_the_same(hub_server, trained, photos, cli):
    url = ct.load(trained).push("alice/pets", license="mit")
    assert url == f"{hub_server.url}/alice/pets" and not hub_server.repositories["alice/pets"].private
    files = hub_server.files("alice/pets")
    own = {"checkpoint.safetensors", "config.yaml", "result.json", "README.md", "classes.txt"}
    assert files.keys() == {*own, ".gitattributes"}
    before, after = ct.load(trained), ct.load("hf:alice/pets")
    image = photos / "cat" / "0.png"
    assert torch.equal(before.logits(image), after.logits(image)) and after.classnames == before.classnames
    assert after.result is not None and before.result is not None and after.result.metrics == before.result.metrics
    answers = [cli("predict", run, image) for run in (trained, "hf:alice/pets", "hf:alice/pets@main")]
    assert {answer.out for answer in answers} == {answers[0].out} and answers[0].code == 0, answers
    assert cli("evaluate", "hf:alice/pets").out == cli("evaluate", trained).out


def test_no_path_that_the_run_recorded_is_published(hub_server, trained, photos):
    with pytest.warns(UserWarning, match="the configuration names .* of this machine, as it was typed"):
        ct.load(trained).push("alice/pets")
    files = hub_server.files("alice/pets")
    assert str(trained).encode() not in b"".join(files.values())
    record = json.loads(files["result.json"])
    assert record["provenance"].keys().isdisjoint({"places", "inputs"}) and record["metrics"]
    assert b'"places"' not in files["checkpoint.safetensors"]


def test_branches_commits_and_files_that_are_gone(hub_server, trained, tmp_path, cli):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    first = cli("push", run, "alice/pets")
    assert first.code == 0 and first.out == f"{hub_server.url}/alice/pets\n" and "created, as commit" in first.err
    assert "next: cliptune predict hf:alice/pets IMAGE..." in first.err
    same = cli("push", run, "alice/pets")
    assert same.code == 0 and "unchanged" in same.err and len(hub_server.repositories["alice/pets"].commits) == 2
    hub_server.repositories["alice/pets"].commit("main", {**hub_server.files("alice/pets"), "calibration.json": b"{}"})
    commit = hub_server.repositories["alice/pets"].branches["main"]
    changed = cli("push", run, "alice/pets", "--license", "mit")
    assert "updated; earlier commits remain" in changed.err
    assert "calibration.json" not in hub_server.files("alice/pets"), "it belonged to the run that was there"
    assert b"license: mit" in hub_server.files("alice/pets")["README.md"]
    branch = cli("push", run, "alice/pets", "--revision", "v2")
    assert branch.out == f"{hub_server.url}/alice/pets/tree/v2\n" and "hf:alice/pets@v2" in branch.err
    assert b"hf:alice/pets@v2" in hub_server.files("alice/pets", "v2")["README.md"]
    assert "hf:alice/pets@v2" not in hub_server.files("alice/pets")["README.md"].decode()
    assert ct.load("hf:alice/pets@v2").path != ct.load(f"hf:alice/pets@{commit}").path


def test_models_in_memory_and_on_the_hub_are_pushed(hub_server, trained):
    with_others = ct.load(trained).with_classes(["a tabby", "an owl"])
    with_others.push("alice/others", private=True)
    assert hub_server.repositories["alice/others"].private
    assert ct.load("hf:alice/others").classnames == ("a tabby", "an owl")
    assert hub_server.files("alice/others")["classes.txt"] == b"a tabby\nan owl\n"
    ct.load("hf:alice/others").push("alice/again")
    checkpoints = [hub_server.files(f"alice/{name}")["checkpoint.safetensors"] for name in ("others", "again")]
    assert checkpoints[0] == checkpoints[1]


def test_a_local_temperature_of_a_run_on_the_hub_survives_and_is_not_in_the_clients_cache(
    hub_server, trained, tmp_path
):
    ct.load(trained).push("alice/pets")
    with pytest.warns(UserWarning, match="which are few"):
        fitted = ct.load("hf:alice/pets").calibrate()
    assert ct.load("hf:alice/pets").temperature == fitted
    assert not [*(tmp_path / "hub-cache").rglob("calibration.json")]
    ct.load("hf:alice/pets").push("alice/calibrated")
    shutil.rmtree(tmp_path / "cliptune-cache")
    assert ct.load("hf:alice/pets").temperature is None and ct.load("hf:alice/calibrated").temperature == fitted


def test_without_a_connection_the_copy_is_used_and_said(hub_server, trained, monkeypatch):
    ct.load(trained).push("alice/pets")
    commit = hub_server.repositories["alice/pets"].branches["main"]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"127.0.0.1:9 cannot be reached for alice/pets .*; check the connection"):
        ct.load("hf:alice/pets")
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    ct.load("hf:alice/pets")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match=f"using commit {commit} of alice/pets, which was downloaded before"):
        ct.load("hf:alice/pets")
    with pytest.raises(UserError, match="127.0.0.1:9 cannot be reached"):
        ct.load(trained).push("alice/pets")


def test_what_the_hub_refuses(hub_server, trained, photos, monkeypatch, refused):
    image = photos / "cat" / "0.png"
    hub_server.add("alice/bert", {"pytorch_model.bin": b"x", "config.json": b"{}"})
    hub_server.add("alice/public", {})
    hub_server.add("alice/secret", {}, private=True)
    assert "there is no model alice/none at http" in refused("predict", "hf:alice/none", image)
    assert "alice/bert is not a model of cliptune" in refused("evaluate", "hf:alice/bert")
    assert "has no revision 'v9'" in refused("predict", "hf:alice/bert@v9", image)
    assert "use hf:USER/MODEL" in refused("export", "hf:bert", "OUT", "--to", "torch")
    assert "it contains config.json, pytorch_model.bin" in refused("push", trained, "alice/bert")
    assert "alice/public exists and is public" in refused("push", trained, "alice/public", "--private")
    assert "may not write to bob/pets" in refused("push", trained, "bob/pets")
    assert not hub_server.repositories.keys() & {"bob/pets", "alice/none"}
    hub_server.statuses = [500]
    assert "answers with status 500" in refused("predict", "hf:alice/bert", image)
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    assert "there is no model alice/secret at" in refused("predict", "hf:alice/secret", image)
    assert "may not write to alice/public" in refused("push", trained, "alice/public")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept the token" in refused("push", trained, "alice/pets")
    monkeypatch.delenv("HF_TOKEN")
    assert "needs a token of http" in refused("push", trained, "alice/pets")
    assert "there is no model alice/secret at" in refused("predict", "hf:alice/secret", image)
    assert all(len(repository.commits) == 1 for repository in hub_server.repositories.values())


def test_wrong_arguments(trained, refused, tmp_path):
    assert "none was given: cliptune push" in refused("push", trained)
    assert "2 were given" in refused("push", trained, "alice/a", "alice/b")
    assert "use USER/MODEL" in refused("push", trained, "pets", "--out", "OUT")
    assert "is no identifier of a licence" in refused("push", trained, "alice/a", "--license", "my own", "--out", "OUT")
    assert "is not the name of a branch" in refused("push", trained, "alice/a", "--revision", "a b", "--out", "OUT")
    assert "no checkpoint at" in refused("push", tmp_path, "alice/a", "--out", "OUT")
    assert "is not empty" in refused("push", trained, "alice/a", "--out", trained)


def test_the_extra_is_named_where_the_client_is_missing(trained, photos, monkeypatch, refused):
    image = photos / "cat" / "0.png"
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert 'pip install "cliptune[hub]"' in refused("predict", "hf:alice/pets", image)
    assert 'pip install "cliptune[hub]"' in refused("push", trained, "alice/pets")


def test_runs_on_the_hub_are_teachers_and_configurations(hub_server, trained, photos):
    with pytest.warns(UserWarning, match="the configuration names"):
        ct.load(trained).push("alice/pets")
    again = ct.train(config="hf:alice/pets", data=f"folder:{photos}", epochs=1)
    assert torch.equal(again.logits(photos / "cat" / "0.png"), ct.load(trained).logits(photos / "cat" / "0.png"))
    student = ct.train("promptkd", data=f"folder:{photos}", teacher="hf:alice/pets", epochs=1, depth=2)
    assert student.run.method.teacher_source() == "hf:alice/pets"


def test_sentences_that_a_method_reads_are_published_with_it(hub_server, photos, tmp_path):
    file = tmp_path / "sentences.json"
    names = sorted(path.name for path in photos.iterdir() if path.is_dir())
    file.write_text(json.dumps({name: [f"a {name} seen from the side"] for name in names}))
    run = ct.train("cupl", data=f"folder:{photos}", descriptions=str(file), shots=1, out=tmp_path / "run")
    features = run.text_features()
    run.push("alice/sentences")
    file.unlink()
    assert torch.equal(ct.load("hf:alice/sentences").text_features(), features)
    _, about = read_checkpoint(ct.load("hf:alice/sentences").path / "checkpoint.safetensors")
    assert about["places"] == {str(file): ["descriptions.json"]}


def test_code_is_not_imported_because_the_hub_names_it(hub_server, trained, photos, tmp_path, monkeypatch, refused):
    (tmp_path / "published_method.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    tensors, about = read_checkpoint(trained / "checkpoint.safetensors")
    about["config"]["method"]["name"] = "published_method:Mine"
    write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, about)
    hub_server.add("alice/evil", {"checkpoint.safetensors": (tmp_path / "checkpoint.safetensors").read_bytes()})
    for words in (("predict", "hf:alice/evil", photos / "cat" / "0.png"), ("push", "hf:alice/evil", "alice/copy")):
        assert "is code outside of cliptune" in refused(*words)
    assert not (tmp_path / "ran").exists() and "alice/copy" not in hub_server.repositories


def test_a_damaged_file_on_the_hub_is_refused(hub_server, trained, photos, refused):
    content = (trained / "checkpoint.safetensors").read_bytes()
    hub_server.add("alice/damaged", {"checkpoint.safetensors": content[:-1] + b"\x00"})
    assert "is damaged or truncated" in refused("predict", "hf:alice/damaged", photos / "cat" / "0.png")
