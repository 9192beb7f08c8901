"""All test sets of a task: transfer datasets, joint evaluation, averages, and evaluations during training."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tiny_clips
from cliptune import experiment, load, protocols, tasks
from cliptune.config import RunConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.validate import drop_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import predict_logits
from cliptune.engine.evaluate_task import evaluate_task
from cliptune.engine.metrics import accuracy
from cliptune.errors import UserError
from cliptune.inspection import inspect_task
from cliptune.methods.coop import CoOp
from cliptune.methods.zeroshot import ZeroShot
from tiny_tasks import model, task, write_images

BRIEF = TrainConfig(epochs=3, lr=0.1, batch_size=4, augment="none")


@pytest.fixture
def animals(tmp_path):
    return write_images(tmp_path / "animals", classes=("cat", "horse", "pig", "mouse"), each=6)


@pytest.fixture
def pets(tmp_path):
    return write_images(tmp_path / "pets", classes=("cat", "mouse"), each=7)


def across(animals, pets, **more):
    base = {"shots": 2, "protocol": "cross_dataset", "targets": (f"folder:{pets}",), "training": BRIEF}
    return RunConfig(**{"method": CoOp(n_ctx=2), "data": f"folder:{animals}", **base, **more})


def test_targets_use_their_own_class_names_and_templates(animals, pets, tiny_backbone):
    source = Folder(animals)
    (task,) = protocols.get("cross_dataset")(source, shots=2, seeds=(1,), targets=(f"folder:{pets}",))
    test = replace(task.tests["pets"], templates=("a drawing of a {}.",))
    task = replace(task, tests={**task.tests, "pets": test})
    run = across(animals, pets, method=ZeroShot())
    found = evaluate_task(experiment.untrained_model(run, task), task)
    alone = experiment.untrained_model(run, task).with_classes(("cat", "mouse"), ("a drawing of a {}.",))
    answers = predict_logits(alone, Folder(pets), replace(test, dataset=None, templates=()))
    right = [int(a.argmax()) == e.label for a, e in zip(answers, test.examples, strict=True)]
    assert answers.shape[1] == 2 and found["pets"] == pytest.approx(100 * sum(right) / len(right))
    plain = predict_logits(alone.with_classes(("cat", "mouse"), ("a photo of a {}.",)), Folder(pets), test)
    assert torch.equal(plain, answers), "the test set's own sentences"


def test_average_is_over_the_targets(animals, pets, tmp_path):
    more = write_images(tmp_path / "more", classes=("horse", "pig"), each=5)
    run = across(animals, pets, targets=(f"folder:{pets}", f"folder:{more}"))
    _, result = experiment.run_experiment(run, tmp_path / "r")
    assert list(result.metrics) == ["source", "pets", "more", "average"]
    assert result.metrics["average"] == pytest.approx((result.metrics["pets"] + result.metrics["more"]) / 2)
    again = load(tmp_path / "r")
    assert again.evaluate() == result.metrics, "also of a run that was loaded"
    assert again.evaluate(f"folder:{pets}")["test"] >= 0, "and on other data"


def test_a_class_specific_method_has_no_average(animals, pets):
    run = across(animals, pets, method=CoOp(n_ctx=2, class_specific=True))
    with pytest.warns(UserWarning, match="not tested on pets: CoOp has .* per class"):
        _, result = experiment.run_experiment(run)
    assert list(result.metrics) == ["source"]


def test_domains_of_the_same_classes_work_with_every_method():
    data = "emoji:styles=fluent-flat,train_per_class=1,val_per_class=1,test_per_class=1"
    run = RunConfig(CoOp(n_ctx=2, class_specific=True), data=data, shots=1, protocol="domain_generalization",
              training=replace(BRIEF, epochs=0))  # fmt: skip
    _, result = experiment.run_experiment(run)
    assert list(result.metrics) == ["source", "fluent-3d", "noto", "average"]


def test_unreadable_images_of_a_target_are_reported_with_the_target(animals, pets):
    (pets / "cat" / "0.png").write_bytes(b"no image")
    run = across(animals, pets)
    task = tasks.build_task(run)
    with pytest.raises(UserError, match=r"1 of 14 images cannot be read: .*pets/cat/0.png"):
        drop_unreadable(task)
    lenient = across(animals, pets, reading=replace(run.reading, skip_bad=True))
    with pytest.warns(UserWarning, match="1 of 14 images cannot be read and are left out"):
        rest, bad = drop_unreadable(tasks.build_task(lenient))
    assert list(bad) == ["pets/cat/0.png"] and len(rest.tests["pets"].examples) == 13
    assert rest.tests["source"] == task.tests["source"] and len(rest.train) == len(task.train)


@pytest.mark.parametrize("option, value", [("targets", ("noto",)), ("joint", True)])
def test_options_of_other_protocols_are_refused(animals, pets, option, value):
    run = across(animals, pets, protocol="few_shot", targets=())
    with pytest.raises(UserError, match=f"few_shot has no {option}, only "):
        tasks.build_task(replace(run, **{option: value}))


def test_joint_accuracy_of_base_and_novel(animals, tmp_path):
    run = RunConfig(
        CoOp(n_ctx=2), data=f"folder:{animals}", shots=2, protocol="base_to_novel", joint=True, training=BRIEF
    )
    model, result = experiment.run_experiment(run, tmp_path / "r")
    plain_model, plain = experiment.run_experiment(replace(run, joint=False))
    assert {k: v for k, v in result.metrics.items() if "joint" not in k} == plain.metrics
    assert result.history == plain.history
    task = tasks.build_task(run)
    test = task.tests["joint"]
    answers = predict_logits(model, task.dataset, test).argmax(1).tolist()
    for part, labels in (("base/joint", (0, 1)), ("novel/joint", (2, 3)), ("joint", (0, 1, 2, 3))):
        right = [a == e.label for a, e in zip(answers, test.examples, strict=True) if e.label in labels]
        assert result.metrics[part] == pytest.approx(100 * sum(right) / len(right))
    assert load(tmp_path / "r").evaluate() == result.metrics


@pytest.fixture
def intermediate_run(animals):
    return RunConfig(CoOp(n_ctx=2), data=f"folder:{animals}", shots=2, protocol="base_to_novel", training=BRIEF,
               evaluate_at=(1, 3))  # fmt: skip


def test_evaluations_during_training_do_not_change_training(intermediate_run):
    model, result = experiment.run_experiment(intermediate_run)
    plain_model, plain = experiment.run_experiment(replace(intermediate_run, evaluate_at=()))
    assert [{k: v for k, v in row.items() if k[0] != "@"} for row in result.history] == list(plain.history)
    for name, tensor in model.learner.state_dict().items():
        assert torch.equal(tensor, plain_model.learner.state_dict()[name])
    assert {k: v for k, v in result.metrics.items() if "@" not in k} == plain.metrics
    assert {k for k in result.metrics if "@" in k} == {"base@1", "novel@1", "base@3", "novel@3"}
    assert [sorted(k for k in row if k[0] == "@") for row in result.history] == [
        ["@base", "@novel"],
        [],
        ["@base", "@novel"],
    ]
    assert result.metrics["base@3"] == result.metrics["base"] and result.metrics["novel@3"] == result.metrics["novel"]
    short = replace(intermediate_run, evaluate_at=(), training=replace(BRIEF, epochs=3))
    assert plain.config == {**experiment.to_dict(short)}


def test_a_resumed_run_keeps_earlier_evaluations(intermediate_run, tmp_path, monkeypatch):
    _, whole = experiment.run_experiment(intermediate_run)
    from cliptune.engine.resume import TrainingProgress

    save = TrainingProgress.save

    def save_and_die(self, path, model, optimizer):
        save(self, path, model, optimizer)
        if len(self.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingProgress, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_experiment(intermediate_run, tmp_path / "r")
    monkeypatch.setattr(TrainingProgress, "save", save)
    _, rest = experiment.run_experiment(intermediate_run, tmp_path / "r")
    assert (rest.metrics, rest.history) == (whole.metrics, whole.history)


def test_an_evaluation_epoch_beyond_training_is_reported(intermediate_run):
    with pytest.warns(UserWarning, match="evaluate_at asks for epoch 9, but coop trains for 3"):
        _, result = experiment.run_experiment(replace(intermediate_run, evaluate_at=(2, 9)))
    assert "base@2" in result.metrics and "base@9" not in result.metrics
    with warnings.catch_warnings():  # methods without training have no epochs
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
        experiment.run_experiment(replace(intermediate_run, method=ZeroShot()))
    with pytest.raises(UserError, match="evaluate_at must be at least 1"):
        replace(intermediate_run, evaluate_at=(0,))


class Largest(TorchDispatchMode):
    """Records the rows of the largest matrix with one column per class that an operation returns."""

    def __init__(self, columns: int):
        super().__init__()
        self.columns, self.rows = columns, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.ndim == 2 and tensor.shape[1] == self.columns:
                self.rows = max(self.rows, len(tensor))
        return out


@pytest.fixture(scope="module")
def many():
    """A task with 252 test images in three batches, and a model."""
    toy = task()
    test = replace(toy.tests["test"], examples=toy.tests["test"].examples * 21)
    return replace(toy, tests={"test": test}), model(CoOp(n_ctx=2), tiny_clips.backbone("deep_image"), toy)


def test_logits_of_all_images_are_never_in_memory_together(many):
    toy, tuned = many
    test = toy.tests["test"]
    assert len(test.examples) == 252
    with Largest(len(test.classnames)) as largest:
        found = evaluate_task(tuned, toy)
    assert largest.rows == 100
    with Largest(len(test.classnames)) as largest:
        logits = predict_logits(tuned, toy.dataset, test)
    assert largest.rows == 252 and found == {"test": accuracy(logits.argmax(1), test)}


def test_inspections_keep_a_few_numbers_per_image(many):
    toy, tuned = many
    run = RunConfig(CoOp(n_ctx=2), training=BRIEF)
    with Largest(len(toy.classnames)) as largest:
        found = inspect_task(tuned, run, toy, temperature=2.0)
    (part,), logits = found.splits, predict_logits(tuned, toy.dataset, toy.tests["test"])
    assert largest.rows == 100 and all(value.ndim == 1 for value in vars(part).values() if hasattr(value, "ndim"))
    halves = (logits.double() / 2).softmax(1)
    assert part.predicted.tolist() == logits.argmax(1).tolist()
    assert found.metrics["test"] == pytest.approx(100 * part.correct.mean())
    assert part.predicted_log.tolist() == pytest.approx(halves.max(1).values.log().tolist())
    assert part.true_log.tolist() == pytest.approx(
        [row[y].log().item() for row, (y,) in zip(halves, part.labels, strict=True)]
    )
    plain = found.uncalibrated["test"]
    assert plain.predicted_log.tolist() == pytest.approx(logits.double().softmax(1).max(1).values.log().tolist())
    assert found.temperatures == {"test": 2.0}
