"""The training loop: equal to a plain loop; its rows, watchers and refusals."""

from copy import copy
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune.backbones.features import normalise
from cliptune.data import items
from cliptune.data.config import DataConfig
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip, resize_image, resize_with_pillow
from cliptune.engine.fit import fit, training_set
from cliptune.engine.optim import learning_rate
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.method import Method
from cliptune.prompts.context import TextContext
from tiny_tasks import QUICK, fabric, learned, model, same, task, trained

COOP = CoOp(n_ctx=2)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


class Events(Watcher):
    def __init__(self, stop=None):
        self.seen, self.rows, self.stop = [], [], stop

    def begin(self, epochs, steps, first):
        self.seen.append(("begin", epochs, steps, first))

    def step(self, epoch, losses):
        self.seen.append(("step", epoch))
        if self.stop == ("step", epoch):
            raise RuntimeError("stopped")

    def epoch(self, row):
        self.seen.append(("epoch", row["epoch"]))
        self.rows.append(row)

    def end(self):
        self.seen.append(("end",))


def test_training_equals_a_plain_loop(backbone):
    toy = task()
    tuned, history = trained(COOP, backbone, QUICK, toy)

    plain = model(COOP, backbone, toy)
    sentences = COOP.class_prompts(backbone, toy.classnames, ())
    augment = RandomCropFlip(backbone.image_size, scale=(1.0, 1.0), flip=0.0)
    examples = ExampleSet(toy.dataset, toy.train, backbone.preprocess, augment=augment, seed=toy.seed)
    parameter, velocity, rows = plain.learner.text, None, []
    for epoch in range(QUICK.epochs):
        rate = learning_rate(epoch, base=QUICK.lr, epochs=QUICK.epochs)
        seen = []
        for batch in examples.epoch_batches(epoch, QUICK.batch_size, torch.device("cpu")):
            text = backbone.class_features(sentences, plain.learner())
            image = normalise(backbone.encode_image(batch.images))
            loss = F.cross_entropy(backbone.logit_scale * image @ text.T, batch.labels)
            (gradient,) = torch.autograd.grad(loss, parameter)
            push = gradient + QUICK.weight_decay * parameter.detach()
            velocity = push if velocity is None else QUICK.momentum * velocity + push
            parameter.data -= rate * velocity
            seen.append(loss.item())
        rows.append((epoch, rate, sum(seen) / len(seen)))
    assert [(r["epoch"], r["lr"], r["loss"]) for r in history] == [pytest.approx(row, rel=1e-4) for row in rows]
    assert torch.allclose(tuned.learner.text, parameter, atol=1e-5)
    assert not torch.allclose(parameter, model(COOP, backbone, toy).learner.text, atol=1e-3), "nothing was learned"


def test_rows_contain_learning_rate_and_mean_losses(backbone):
    _, history = trained(COOP, backbone, replace(QUICK, epochs=2))
    assert [set(row) for row in history] == [{"epoch", "lr", "loss", "ce"}] * 2
    assert [row["epoch"] for row in history] == [0, 1]
    assert history[0]["lr"] == 1e-5 and history[1]["lr"] == QUICK.lr
    assert all(row["loss"] == pytest.approx(row["ce"]) for row in history)


def test_the_numbers_depend_on_the_seed(backbone):
    training = replace(QUICK, augment="crop")
    one, other = (trained(Maple(depth=2), backbone, training) for _ in range(2))
    assert same(learned(one[0]), learned(other[0])) and one[1] == other[1]
    different = trained(Maple(depth=2), backbone, training, task(seed=2))
    assert different[1] != one[1]


def test_training_for_a_number_of_steps_ends_within_an_epoch(backbone):
    toy = task(3, 4)  # 3 steps per epoch
    by_step = replace(QUICK, warmup_epochs=0, schedule="step", min_lr=1e-3)
    watcher = Events()
    _, history = trained(COOP, backbone, replace(by_step, steps=7, epochs=99), toy, watchers=[watcher])
    assert watcher.seen[0] == ("begin", 3, 3, 0)
    assert [event for event in watcher.seen if event[0] == "step"] == [("step", e) for e in (0, 0, 0, 1, 1, 1, 2)]
    assert [row["lr"] for row in history] == [
        learning_rate(t, base=0.01, epochs=7, warmup_epochs=0, min_lr=1e-3) for t in (0, 3, 6)
    ]
    whole, _ = trained(COOP, backbone, replace(by_step, steps=6), toy)
    epochs, _ = trained(COOP, backbone, replace(by_step, epochs=2), toy)
    per_shot, _ = trained(COOP, backbone, replace(by_step, steps_per_shot=3), task(3, 2))
    assert same(learned(whole), learned(epochs)) and len(history) == 3
    other, _ = trained(COOP, backbone, replace(by_step, steps=6), task(3, 2))
    assert same(learned(per_shot), learned(other))


def test_few_images_train_for_more_epochs_with_a_warning(backbone):
    few = task(3, 1)  # an epoch of a step
    with pytest.warns(UserWarning, match="an epoch has 1 step: training for 3 epochs instead of 1, as min_steps is 3"):
        more, history = trained(COOP, backbone, replace(QUICK, epochs=1, min_steps=3), few)
    three, _ = trained(COOP, backbone, replace(QUICK, epochs=3), few)
    assert same(learned(more), learned(three)) and len(history) == 3
    enough, _ = trained(COOP, backbone, replace(QUICK, epochs=3, min_steps=3), few)
    assert same(learned(enough), learned(three))


def test_a_larger_crop_scale_takes_larger_crops(backbone):
    tuned, toy = model(COOP, backbone, task()), task()
    sets = [training_set(tuned, toy, replace(QUICK, augment="crop", crop_scale=scale))[0] for scale in (0.08, 0.5)]
    assert [examples.augment.scale for examples in sets] == [(0.08, 1.0), (0.5, 1.0)]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_worker_processes_are_started_once_and_change_nothing(backbone, monkeypatch):
    started, loader = [], items.DataLoader
    monkeypatch.setattr(items, "DataLoader", lambda *of, **with_: started.append(of) or loader(*of, **with_))
    augmented = replace(QUICK, augment="crop")
    alone = learned(trained(Maple(depth=2), backbone, augmented)[0])
    assert same(learned(trained(Maple(depth=2), backbone, replace(augmented, workers=1))[0]), alone)
    assert QUICK.epochs > 1 and len(started) == 1


def test_watchers_are_called_in_order(backbone):
    watcher = Events()
    _, history = trained(COOP, backbone, replace(QUICK, epochs=2), task(3, 3), watchers=[watcher])
    steps = 3 * 3 // QUICK.batch_size
    expected = [("begin", 2, steps, 0)]
    for epoch in range(2):
        expected += [("step", epoch)] * steps + [("epoch", epoch)]
    assert watcher.seen == [*expected, ("end",)]
    assert watcher.rows == history


def test_watchers_are_ended_after_an_error_too(backbone):
    watcher = Events(stop=("step", 1))
    with pytest.raises(RuntimeError, match="stopped"):
        trained(COOP, backbone, watchers=[watcher])
    assert watcher.seen[-1] == ("end",)


def test_a_method_without_parameters_is_not_trained(backbone):
    watcher = Events()
    _, history = trained(ZeroShot(), backbone, watchers=[watcher])
    assert history == [] and watcher.seen == []


@pytest.mark.parametrize("keep", ["last", "best"])
def test_no_epochs_keep_the_initial_values(backbone, keep):
    tuned, history = trained(COOP, backbone, replace(QUICK, epochs=0, keep=keep))
    assert history == [] and same(learned(tuned), learned(model(COOP, backbone, task())))


def test_best_without_validation_images_is_refused_before_training(backbone):
    watcher = Events()
    with pytest.raises(UserError, match="keep=best needs validation images"):
        trained(COOP, backbone, replace(QUICK, keep="best"), replace(task(), val=()), watchers=[watcher])
    assert watcher.seen == []


@dataclass(frozen=True)
class Ruinous(Method):
    """Its last step overflows."""

    def learner(self, backbone, classnames, generator):
        return TextContext(torch.zeros(2, backbone.text_width))

    def class_prompts(self, backbone, classnames, templates):
        return COOP.class_prompts(backbone, classnames, templates)

    def losses(self, out, batch, state):
        return {"ce": F.cross_entropy(out.logits, batch.labels)}

    def update(self, losses, parameters):
        parameters[0].grad = torch.full_like(parameters[0], 1e38)


def test_an_overflow_in_the_last_step_is_refused(backbone, tmp_path):
    training = replace(QUICK, epochs=1, warmup_epochs=0, lr=1e3)
    with pytest.raises(UserError, match="learned tensor 'text' is no longer finite; lower lr"):
        trained(Ruinous(), backbone, training, task(3, 1), resume_file=tmp_path / "resume")
    assert list(tmp_path.iterdir()) == []


def test_training_names_a_poisoned_tensor(backbone):
    tuned = model(COOP, backbone, task())
    tuned.learner.text.data[1, 3] = float("nan")
    with pytest.raises(UserError, match="learned tensor 'text'"):
        fit(tuned, task(), QUICK, fabric=fabric())


def test_the_augmentations_differ(backbone):
    losses = {
        name: trained(COOP, backbone, replace(QUICK, epochs=1, augment=name))[1][0]["loss"]
        for name in ("crop", "flip", "none")
    }
    assert len(set(losses.values())) == 3


@pytest.mark.parametrize("exact", [False, True])
def test_views_are_resized_as_configured(backbone, exact):
    toy = task()
    dataset = copy(toy.dataset)
    dataset.reading = DataConfig(exact_resize=exact)
    examples, _ = training_set(model(COOP, backbone, toy), replace(toy, dataset=dataset), QUICK)
    resize, other = (resize_with_pillow, resize_image) if exact else (resize_image, resize_with_pillow)
    size, distinguished = backbone.image_size, False
    for i in range(len(examples)):
        view, image = examples.item(i)[0], examples.image(i).image
        assert torch.equal(view, resize(image, size, size))
        distinguished |= not torch.equal(view, other(image, size, size))
    assert distinguished
