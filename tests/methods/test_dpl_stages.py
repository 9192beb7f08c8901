"""DPL's two stages as one run: a killed run resumes in either stage."""

from dataclasses import replace

import pytest
import yaml

import cliptune as ct
from cliptune import config, experiment, model_io, run_dir
from cliptune.config import RunConfig
from cliptune.engine import checkpoint
from cliptune.engine.config import TrainConfig
from cliptune.engine.watchers import Watcher
from cliptune.methods.dapt import Dapt
from cliptune.methods.dpl import Dpl
from cliptune.results import store
from tiny_tasks import learned, same, task

BRIEF = Dpl(longest_text=1, longest_image=2, search_epochs=2, search_batch=4, search_lr=0.05, sentence="template")
RUN = RunConfig(BRIEF, training=TrainConfig(epochs=2, batch_size=6, augment="none", lr=0.01))


class Stop(Exception):
    pass


class StopAfter(Watcher):
    """Stops training after this many epochs of all stages."""

    def __init__(self, epochs: int):
        self.left = epochs

    def epoch(self, row):
        self.left -= 1
        if not self.left:
            raise Stop


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dpl") / "run"
    tuned, result = experiment.run_experiment(RUN, folder, task=task())
    return folder, tuned, result


def test_the_record_contains_the_requested_and_the_trained_method(finished):
    folder, tuned, result = finished
    assert files(folder) == ["checkpoint.safetensors", "config.yaml", "result.json", "stage1.safetensors"]
    found = tuned.method
    assert len(found.lengths_text) == 4 and len(found.lengths_image) == 6 and not found.searching
    assert found == replace(BRIEF, lengths_text=found.lengths_text, lengths_image=found.lengths_image)
    record = store.load_result(folder / "result.json")
    assert config.from_dict(record.config) == RUN
    assert config.method_from_dict(record.provenance["trained"]) == found
    assert [row["epoch"] for row in record.history] == [0, 1, 2, 3]
    assert record.cost["parameters"] == sum(p.numel() for p in tuned.learner.parameters())
    assert config.from_dict(yaml.safe_load((folder / "config.yaml").read_text())) == RUN
    assert run_dir.is_done(folder, RUN)


def test_the_lengths_are_those_of_the_highest_scores(finished):
    folder, tuned, _ = finished
    learned_tensors, _ = checkpoint.read_checkpoint(folder / "stage1.safetensors")
    assert tuple(learned_tensors["alphas_text"].argmax(-1).tolist()) == tuned.method.lengths_text
    assert tuple(learned_tensors["alphas_image"].argmax(-1).tolist()) == tuned.method.lengths_image
    assert learned_tensors["adam"][2].unique().tolist() == [4], "two epochs of two steps"


@pytest.mark.parametrize("epochs", [1, 3], ids=["in the search", "in training"])
def test_a_killed_run_resumes_to_the_same_bytes(finished, tmp_path, epochs):
    folder, _, result = finished
    with pytest.raises(Stop):
        experiment.run_experiment(RUN, tmp_path / "r", task=task(), watchers=[StopAfter(epochs)])
    left = ["config.yaml", "resume.safetensors", "stage1.safetensors", "stage2.resume.safetensors"]
    assert files(tmp_path / "r") == (left[:2] if epochs == 1 else left)
    _, again = experiment.run_experiment(RUN, tmp_path / "r", task=task())
    assert files(tmp_path / "r") == files(folder)
    for name in ("checkpoint.safetensors", "stage1.safetensors"):
        assert (tmp_path / "r" / name).read_bytes() == (folder / name).read_bytes()
    assert (again.metrics, again.history) == (result.metrics, result.history)
    assert again.provenance["trained"] == result.provenance["trained"]


def test_a_restored_run_predicts_the_same(finished):
    folder, tuned, result = finished
    restored, run = model_io.load_model(folder)
    assert run == replace(RUN, method=tuned.method) and same(learned(restored), learned(tuned))
    assert experiment.evaluate_task(restored, task()) == result.metrics
    assert ct.load(folder).run.method.lengths_text == tuned.method.lengths_text


def test_a_trained_model_can_be_saved(tmp_path, photos):
    options = {"longest_text": 1, "longest_image": 1, "search_epochs": 1, "sentence": "template"}
    tuned = ct.train("dpl", data=f"folder:{photos}", shots=2, epochs=1, **options)
    tuned.save(tmp_path)
    again = ct.load(tmp_path)
    assert again.run == tuned.run and not again.run.method.searching
    assert again.evaluate() == tuned.evaluate()


def test_found_lengths_are_trained_without_a_search(finished):
    _, tuned, result = finished
    again, other = experiment.run_experiment(replace(RUN, method=tuned.method), task=task())
    assert same(learned(again), learned(tuned)) and other.metrics == result.metrics
    assert len(other.history) == 2 and "trained" not in other.provenance


def test_a_wrapper_wraps_both_stages():
    run = replace(RUN, method=Dapt(base=replace(BRIEF, search_epochs=1), masks_from="data"))
    tuned, result = experiment.run_experiment(config.with_options(run, {"epochs": 1}), task=task())
    assert all("pull_push" in row for row in result.history) and len(result.history) == 2
    assert isinstance(tuned.method, Dapt) and not tuned.method.base.searching
    assert result.method == "dpl+dapt"
