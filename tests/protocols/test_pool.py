"""Unlabelled pools: which images each protocol gives, that no label is used, and what records and tables say."""

import warnings
from dataclasses import replace

import pytest
import torch

import cliptune as ct
from cliptune import config, experiment, methods, protocols, tasks
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import PRESETS
from cliptune.engine.fit import training_set
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.promptkd import PromptKd
from cliptune.model_io import lazy_teacher
from cliptune.objectives.classification import classification_loss
from cliptune.results import summary
from cliptune.unused_options import find_unused_options
from tiny_tasks import drawings, model, write_images

SMALL = "emoji:classes=validation,train_per_class=2,val_per_class=1,test_per_class=1,styles=fluent-flat"
BRIEF = {"n_ctx": 2, "depth": 2, "epochs": 2, "kd_weight": 10.0}


@pytest.fixture(scope="module")
def source():
    return drawings()


def pool_of(name, source, **more):
    (task,) = protocols.get(name)(source, seeds=(1,), pool=True, **more)
    return task


def test_base_to_novel_shows_all_classes_base_first(source):
    task, plain = (
        pool_of("base_to_novel", source, shots=2),
        next(protocols.get("base_to_novel")(source, shots=2, seeds=(1,))),
    )
    assert {e.key for e in task.train} == {e.key for e in source.examples("train")}
    assert task.classnames == plain.tests["base"].classnames + plain.tests["novel"].classnames
    assert task.tests == plain.tests and task.val == plain.val
    assert task.pool and task.transductive and not (plain.pool or plain.transductive)


def test_few_shot_shows_all_training_images(source):
    task = pool_of("few_shot", source, shots=1)
    assert [e.key for e in task.train] == [e.key for e in source.examples("train")]
    assert task.pool and not task.transductive


def test_cross_dataset_shows_the_target(source, tmp_path):
    write_images(tmp_path / "train", each=4)
    write_images(tmp_path / "test", each=2)
    spec = f"folder:{tmp_path}"
    task = pool_of("cross_dataset", source, targets=(spec,))
    (test,) = task.tests.values()
    assert len(test.examples) > 0 and task.classnames == test.classnames and task.dataset is not source
    assert {e.path for e in task.train}.isdisjoint(e.path for e in test.examples) and task.transductive
    assert task.averaged == tuple(task.tests)


@pytest.mark.parametrize("name", ["few_shot", "base_to_novel"])
def test_labels_cannot_be_used(source, name):
    task = pool_of(name, source)
    assert {e.label for e in task.train} == {-1} and not any(e.labels for e in task.train)
    examples = ExampleSet(source, task.train[:4], ct.load_backbone().preprocess, augment=PRESETS["none"](64))
    (batch,) = examples.epoch_batches(0, 4, torch.device("cpu"))
    assert not batch.labelled
    with pytest.raises(UserError, match="unlabelled pool, so there is no cross-entropy"):
        classification_loss(torch.zeros(4, 2), batch)


@pytest.mark.parametrize("targets, message", [((), "one target, got 0"), (("dtd", "eurosat"), "one target, got 2")])
def test_other_numbers_of_targets_are_refused(source, targets, message):
    with pytest.raises(UserError, match=message):
        pool_of("cross_dataset", source, targets=targets)


def test_a_domain_has_no_pool(source):
    with pytest.raises(UserError, match="is a domain of"):
        pool_of("cross_dataset", source, targets=source.domains()[:1])


@pytest.mark.parametrize(
    "more, message",
    [
        ({"protocol": "domain_generalization"}, "which domain_generalization has not; choose base_to_novel, cross"),
        ({"fraction": 0.5}, "fraction=0.5 selects images by label"),
    ],
)
def test_runs_without_a_pool_are_refused(more, message):
    with pytest.raises(UserError, match=message):
        tasks.build_task(config.RunConfig(PromptKd(), data=SMALL, **more))


@pytest.mark.parametrize("masks", ["gradcam", "maskclip"])
def test_masks_that_need_labels_are_refused(source, masks, tiny_backbone):
    toy = replace(pool_of("few_shot", source), train=pool_of("few_shot", source).train[:2])
    tuned = model(Dapt(PromptKd(depth=2), masks_from=masks), tiny_backbone, toy)
    with pytest.raises(UserError, match=f"masks_from={masks} computes masks for the images' labels"):
        training_set(tuned, toy, config.TrainConfig(augment="none"))


def test_shots_have_no_effect():
    assert "all images of the pool" in find_unused_options(config.RunConfig(PromptKd()))["shots"]
    assert "shots" not in find_unused_options(config.RunConfig(methods.build("coop")))


@pytest.fixture(scope="module")
def trained():
    with warnings.catch_warnings(action="ignore"):
        return {
            compat: ct.train("promptkd", SMALL, protocol="base_to_novel", compat=compat, **BRIEF)
            for compat in ("paper", "release")
        }


def test_the_record_says_what_training_saw(trained):
    paper, release = (trained[compat].result for compat in ("paper", "release"))
    assert paper.provenance["pool"] is paper.provenance["transductive"] is True
    assert "epoch_chosen_on" not in paper.provenance
    assert release.provenance["epoch_chosen_on"] == "base"
    assert "val" not in paper.history[0]


def test_the_release_keeps_the_best_epoch_on_test(trained):
    result = trained["release"].result
    assert result.metrics["base"] == max(row["val"] for row in result.history)


def test_tables_mark_the_rows(trained):
    table = summary.summarise([run.result for run in trained.values()])
    marked = [row.method for row in table.rows]
    assert any(name.startswith("promptkd (transductive)") for name in marked)
    assert any(name.startswith("promptkd (transductive, epoch chosen on test)") for name in marked)
    notes = " ".join(table.footnotes)
    assert "unlabelled images of the test classes" in notes and "accuracy is too high" in notes


def test_trained_runs_can_be_saved_and_tested_elsewhere(trained, tmp_path):
    run = trained["paper"]
    run.save(tmp_path)
    again = ct.load(tmp_path)
    assert again.evaluate() == run.result.metrics
    assert again.with_classes(("wolf", "sheep")).classnames == ("wolf", "sheep")


@pytest.mark.slow
def test_a_resumed_run_has_the_same_statistics(tmp_path):
    run = config.RunConfig(PromptKd(n_ctx=2, depth=2, kd_weight=10.0), data=SMALL)
    run = replace(run, training=config.TrainConfig(epochs=2, augment="none", batch_size=8))

    class Stop(Exception):
        pass

    class Stopper(Watcher):
        def epoch(self, row):
            raise Stop

    with warnings.catch_warnings(action="ignore"):
        with pytest.raises(Stop):
            experiment.run_experiment(run, tmp_path / "run", watchers=[Stopper()])
        resumed, _ = experiment.run_experiment(run, tmp_path / "run")
        whole, _ = experiment.run_experiment(run)
    one, other = resumed.learner.state_dict(), whole.learner.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["projector.norm.num_batches_tracked"] == 2 * (len(tasks.build_task(run).train) // 8)


def test_a_teacher_is_loaded_only_when_it_is_needed():
    assert lazy_teacher(methods.build("coop"), ct.load_backbone()) is None
