"""A run's folder: created, finished, restored, and cleaned up after a failure."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
import yaml

import tiny_clips
from cliptune import config, experiment, methods, model_io, run_dir, tasks
from cliptune.backbones.backbone import Backbone
from cliptune.config import RunConfig
from cliptune.engine import checkpoint
from cliptune.engine.config import TrainConfig
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.dpl import Dpl
from cliptune.methods.maple import Maple
from cliptune.methods.vpt import Vpt
from cliptune.results import store
from tiny_tasks import learned, same, task

RUN = RunConfig(CoOp(n_ctx=2), training=TrainConfig(epochs=2, batch_size=6, augment="none"))
DEEP = RunConfig(Maple(n_ctx=2, depth=2), training=TrainConfig(epochs=2, batch_size=6, augment="none", lr=0.01))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run in a folder, its model and its result."""
    folder = tmp_path_factory.mktemp("runs") / "a" / "b"
    model, result = experiment.run_experiment(DEEP, folder, task=task())
    return folder, model, result


class Stop(Exception):
    pass


class Stopper(Watcher):
    def epoch(self, row):
        raise Stop


def files(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("method", [CoOp(n_ctx=2), Maple(n_ctx=2, depth=2, words=""), Vpt(n_ctx=2, depth=2), Dpl()])
def test_the_seed_of_a_run_starts_its_learner(method):
    """On the same images, so that only the initial values can differ."""
    one, again, other = (
        learned(experiment.untrained_model(RunConfig(method, seed=seed), task())) for seed in (1, 1, 2)
    )
    assert same(one, again)
    drawn = [name for name, tensor in one.items() if len(tensor.unique()) > 2]
    assert drawn and not any(torch.equal(one[name], other[name]) for name in drawn)


def test_a_finished_run_leaves_three_files(finished):
    folder, _, _ = finished
    assert files(folder) == ["checkpoint.safetensors", "config.yaml", "result.json"]
    assert config.from_dict(yaml.safe_load((folder / "config.yaml").read_text())) == DEEP
    assert (folder / "checkpoint.safetensors").stat().st_size < 1 << 20


def test_the_record_contains_configuration_and_provenance(finished):
    folder, model, result = finished
    assert store.load_result(folder / "result.json") == result
    assert (result.method, result.data, result.seed) == ("maple", "emoji", 1)
    assert set(result.metrics) == {"test", "novel"} and all(0 <= v <= 100 for v in result.metrics.values())
    assert result.cost["parameters"] == sum(p.numel() for p in model.learner.parameters())
    assert result.cost["seconds"] > 0 and result.cost["peak_memory_mib"] > 100
    assert result.config == json.loads(json.dumps(config.to_dict(DEEP)))
    assert len(result.history) == 2
    provenance = result.provenance
    assert provenance["config_fingerprint"] == config.fingerprint(DEEP)
    assert provenance["backbone"] == "tiny" and provenance["backbone_settings"] == model.backbone.fingerprints.backbone
    assert provenance["test_images"] == {"test": 12, "novel": 8}
    assert {"cliptune", "torch", "python"} <= set(provenance["versions"])


def test_a_restored_run_predicts_the_same(finished):
    folder, model, _ = finished
    for path in (folder, folder / "checkpoint.safetensors"):
        restored, run = model_io.load_model(path)
        assert run == DEEP and restored.classnames == model.classnames and restored.templates == model.templates
        assert same(learned(restored), learned(model)) and not restored.training
        assert experiment.evaluate_task(restored, task()) == experiment.evaluate_task(model, task())


def test_a_repeated_run_writes_the_same_bytes(finished):
    folder, _, result = finished
    before = (folder / "checkpoint.safetensors").read_bytes()
    _, again = experiment.run_experiment(DEEP, folder, task=task())
    assert (folder / "checkpoint.safetensors").read_bytes() == before
    assert (again.metrics, again.history) == (result.metrics, result.history)


def test_a_resumed_run_writes_the_same_bytes(finished, tmp_path):
    folder, _, result = finished
    with pytest.raises(Stop):
        experiment.run_experiment(DEEP, tmp_path / "r", task=task(), watchers=[Stopper()])
    assert files(tmp_path / "r") == ["config.yaml", "resume.safetensors"]
    with pytest.raises(UserError, match="is the state of unfinished training; run the same command again"):
        model_io.load_model(tmp_path / "r" / "resume.safetensors")
    with pytest.raises(UserError, match="no checkpoint at"):
        model_io.load_model(tmp_path / "r")
    _, again = experiment.run_experiment(DEEP, tmp_path / "r", task=task())
    assert files(tmp_path / "r") == files(folder)
    assert (tmp_path / "r" / "checkpoint.safetensors").read_bytes() == (folder / "checkpoint.safetensors").read_bytes()
    assert (again.metrics, again.history) == (result.metrics, result.history)


def test_files_of_another_configuration_are_not_touched(finished, tmp_path):
    folder, _, _ = finished
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(UserError, match="contains a run of another configuration; choose another folder with --out"):
        experiment.run_experiment(replace(DEEP, seed=2), folder, task=task())
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    with pytest.raises(Stop):
        experiment.run_experiment(RUN, tmp_path, task=task(), watchers=[Stopper()])
    with pytest.raises(UserError, match="contains a run of another configuration"):
        experiment.run_experiment(replace(RUN, shots=3), tmp_path, task=task())


def test_the_device_does_not_change_the_configuration(finished):
    folder, _, _ = finished
    assert run_dir.is_done(folder, replace(DEEP, device="cpu"))
    assert run_dir.is_done(folder, config.with_options(DEEP, {"workers": 2}))
    assert not run_dir.is_done(folder.parent, DEEP)
    with pytest.raises(UserError, match="another configuration"):
        run_dir.is_done(folder, RUN)


@pytest.mark.parametrize("content", ["", "- 1", "method: [", "method: {name: nothing}", "\xff\xfe"])
def test_a_damaged_configuration_next_to_results_is_refused(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content.encode("latin-1"))
    run_dir.claim_run_dir(tmp_path, RUN)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["seed"] == 1
    (tmp_path / "config.yaml").write_bytes(content.encode("latin-1"))
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(UserError, match="another configuration"):
        run_dir.claim_run_dir(tmp_path, RUN)


def test_a_saved_model_without_a_configuration_is_not_overwritten(tmp_path, finished):
    _, model, _ = finished
    model_io.save_model(tmp_path / "checkpoint.safetensors", DEEP, model)
    with pytest.raises(UserError, match="another configuration"):
        run_dir.claim_run_dir(tmp_path, RUN)


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_before_the_first_epoch_leaves_nothing(tmp_path, there):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
        (folder / "notes.txt").touch()
    with pytest.raises(UserError, match="keep=best needs validation"):
        experiment.run_experiment(config.with_options(RUN, {"keep": "best"}), folder, task=replace(task(), val=()))
    assert (files(folder) == ["notes.txt"]) if there else not folder.exists()
    experiment.run_experiment(config.with_options(RUN, {"epochs": 1}), folder, task=task())


def test_a_later_failure_keeps_the_finished_epochs(tmp_path):
    class Poison(Watcher):
        def epoch(self, row):
            raise UserError("later")

    with pytest.raises(UserError, match="later"):
        experiment.run_experiment(RUN, tmp_path / "run", task=task(), watchers=[Poison()])
    assert files(tmp_path / "run") == ["config.yaml", "resume.safetensors"]


def test_a_checkpoint_of_another_backbone_is_refused(finished):
    folder, _, _ = finished
    with pytest.raises(
        UserError, match=r"was trained on backbone 'tiny' \(\w+\), not on 'deep_image' \(\w+\); load that one"
    ):
        model_io.load_model(folder, tiny_clips.backbone("deep_image"))


def test_a_checkpoint_of_changed_backbone_weights_is_refused(finished, tiny_backbone):
    folder, _, _ = finished
    import copy

    changed = copy.deepcopy(tiny_backbone.model)
    changed.visual.proj.data += 0.01
    with pytest.raises(UserError, match="was trained on backbone 'tiny'"):
        model_io.load_model(folder, Backbone("tiny", changed, tiny_backbone.tokenizer))


def test_a_checkpoint_whose_tensors_do_not_fit_its_method_is_refused(finished, tmp_path):
    folder, _, _ = finished
    tensors, about = checkpoint.read_checkpoint(folder / "checkpoint.safetensors")
    tensors.pop("text.0")
    checkpoint.write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, about)
    with pytest.raises(UserError, match=r"does not fit Maple\(.*text\.0"):
        model_io.load_model(tmp_path)


@pytest.mark.parametrize("device", ["cuda" if not torch.cuda.is_available() else "mps", "toaster"])
def test_an_unavailable_device_is_refused(device):
    with pytest.raises(UserError, match=f"device='{device}' devices=1 is not available on this machine: "):
        experiment.run_experiment(replace(RUN, device=device), task=task())


@pytest.mark.parametrize(
    ("device", "devices", "why"),
    [("cuda", 2, r"You requested gpu: \[0, 1\] But your machine only has: \[0\]"), ("cpu", -1, "should be an int > 0")],
)
def test_more_devices_than_available_are_refused(monkeypatch, device, devices, why):
    monkeypatch.setattr("lightning_fabric.accelerators.cuda.num_cuda_devices", lambda: 1)
    with pytest.raises(
        UserError, match=f"device='{device}' devices={devices} is not available on this machine: .*{why}"
    ):
        experiment.launch_fabric(device, devices, "32")


def test_the_label_is_the_row_name():
    _, result = experiment.run_experiment(RunConfig(methods.build("zeroshot")), task=task(), label="CLIP")
    assert result.method == "CLIP" and result.cost["parameters"] == 0 and result.history == ()


def test_a_folder_is_scanned_again_for_every_run(tmp_path, photos):
    import shutil

    shutil.copytree(photos, tmp_path / "p")
    run = RunConfig(CoOp(), data=f"folder:{tmp_path / 'p'}", shots=1)
    assert tasks.build_task(run).classnames == ("cat", "horse", "pig")
    (tmp_path / "p" / "pig").rename(tmp_path / "p" / "boar")
    assert tasks.build_task(run).classnames == ("boar", "cat", "horse")


@pytest.mark.slow
def test_training_in_low_precision_resumes_exactly(tmp_path):
    low = replace(DEEP, precision="bf16")
    with pytest.raises(Stop):
        experiment.run_experiment(low, tmp_path, task=task(), watchers=[Stopper()])
    resumed, _ = experiment.run_experiment(low, tmp_path, task=task())
    whole, result = experiment.run_experiment(low, task=task())
    assert len(result.history) == 2 and same(learned(resumed), learned(whole))


@pytest.mark.parametrize("precision, supported", [("32", False), ("bf16", True), ("bf16", False), ("16", False)])
def test_a_precision_that_the_processor_does_not_support(precision, supported, monkeypatch):
    monkeypatch.setattr(experiment, "cpu_computes_in", lambda dtype: supported)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        experiment.launch_fabric("cpu", 1, precision)
    expected = [] if supported or precision == "32" else [f"precision {precision} is slower than 32 on this processor"]
    messages = [str(warning.message).partition(",")[0] for warning in seen]
    assert [message for message in messages if message.startswith("precision")] == expected


def test_precision_belongs_to_the_run(tiny_backbone, tmp_path):
    half = replace(RUN, precision="bf16")
    _, result = experiment.run_experiment(half, tmp_path, task=task())
    _, whole = experiment.run_experiment(RUN, task=task())
    assert [row["loss"] for row in result.history] != [row["loss"] for row in whole.history]
    with pytest.raises(Stop):
        experiment.run_experiment(half, task=task(), watchers=[Stopper()])
    restored, _ = model_io.load_model(tmp_path)
    pixels = tiny_clips.random_images(tiny_backbone, 1)
    assert tiny_backbone.encode_image(pixels).dtype == torch.float32, "a later run computes in float32 again"
    assert all(p.dtype == torch.float32 for p in restored.learner.parameters())
