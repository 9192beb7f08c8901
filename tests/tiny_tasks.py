"""Small real inputs: a few classes of the bundled drawings, as tasks and as image folders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Generator
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.data.emoji.dataset import Emoji
from cliptune.data.splits import sample_few_shot, select_labels
from cliptune.engine.config import TrainConfig
from cliptune.engine.fit import fit
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.model_io import lazy_teacher
from cliptune.types import Task, TestSet

#: Flags for a command that takes one second.
BRIEFLY = ("--shots", 2, "--epochs", 1)
#: Sentences about the first drawings and the names of the contract tests, two for most and one for others.
DESCRIPTIONS = Path(__file__).with_name("descriptions.json")
QUICK = TrainConfig(epochs=3, lr=0.01, batch_size=4, augment="none")


@cache
def drawings() -> Emoji:
    return Emoji(styles=("fluent-flat",), train_per_class=8, val_per_class=2, test_per_class=4)


def task(classes: int = 3, shots: int = 4, seed: int = 1) -> Task:
    """The first classes of the drawings; test sets "test" (those classes) and "novel" (the next two)."""
    source, labels = drawings(), tuple(range(classes))
    new = (classes, classes + 1)
    train = sample_few_shot(select_labels(source.examples("train"), labels), shots, random.Random(seed))
    tests = {
        name: TestSet(select_labels(source.examples("test"), which), tuple(source.classnames[i] for i in which))
        for name, which in (("test", labels), ("novel", new))
    }
    val = select_labels(source.examples("val"), labels)
    return Task("toy", source, tuple(train), val, tests, tests["test"].classnames, seed)


def model(method: Method, backbone, toy: Task, seed: int = 1) -> TunedModel:
    teacher, generator = lazy_teacher(method, backbone), Generator().manual_seed(seed)
    return TunedModel(backbone, method, toy.classnames, generator=generator, teacher=teacher)


@cache
def fabric(precision: str = "32-true") -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]


def trained(method: Method, backbone, training: TrainConfig = QUICK, toy: Task | None = None, **more):
    """A model trained on a toy task, and its history."""
    toy = toy or task()
    tuned = model(method, backbone, toy)
    return tuned, fit(tuned, toy, training, fabric=more.pop("fabric", fabric()), **more)


def learned(tuned: TunedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tuned.learner.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether both are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def write_images(
    root: Path,
    classes: Sequence[str] = ("cat", "horse", "pig"),
    each: int = 8,
    *,
    masks: Path | None = None,
    alpha: bool = False,
) -> Path:
    """Write drawings as `root/<class>/<number>.png`, with masks of the same names in `masks` or as transparency."""
    source = drawings()
    for name in classes:
        label = source.classnames.index(name)
        examples = [e for split in ("train", "test") for e in source.examples(split) if e.label == label]
        for number, example in enumerate(examples[:each]):
            decoded = source.read(example)
            assert decoded.mask is not None
            image, mask = to_pil_image(decoded.image), to_pil_image(decoded.mask)
            if alpha:
                image.putalpha(mask)
            for folder, content in ((root, image), (masks, mask)):
                if folder is not None:
                    path = folder / name / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content.save(path)
    return root
