"""PyTorch datasets and other Python objects as data."""

import numpy as np
import pytest
import torch
import torchvision
from torch.utils.data import ConcatDataset, Subset, TensorDataset

import cliptune as ct
from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from python_datasets import CLASSNAMES, LabeledImages, labeled_images


def test_train_evaluate_and_describe_a_torch_dataset(tmp_path):
    train, test = LabeledImages(), LabeledImages("test", 4)
    data = ct.from_torch(train, test=test)
    run = ct.train("coop", data=data, shots=2, epochs=1, out=tmp_path / "run")
    assert run.classnames == tuple(CLASSNAMES) and run.run.data.startswith("python:LabeledImages@")
    assert run.evaluate(data=data) == run.evaluate() and set(run.evaluate()) == {"test"}
    again = ct.load(tmp_path / "run")
    with pytest.raises(
        ct.UserError, match=r"^the run's data, LabeledImages, was an object in Python; pass it \(evaluate\(data="
    ):
        again.evaluate()
    assert again.evaluate(data=data) == run.evaluate() == again.evaluate(data=test)
    assert again.predict(test[0][0]) == run.predict(test[0][0])


def test_a_run_resumes_on_the_same_object_only(tmp_path):
    options = {"shots": 2, "epochs": 1, "out": tmp_path / "run"}
    first = ct.train("coop", data=LabeledImages(), **options)
    assert ct.train("coop", data=LabeledImages(), **options).run == first.run
    with pytest.raises(ct.UserError, match="another configuration"):
        ct.train("coop", data=LabeledImages(each=7), **options)


def test_the_fingerprint_depends_on_the_images(tmp_path):
    def spec(change):
        return ct.train(
            "zeroshot", data=ct.from_torch([(change(image), i) for image, i in labeled_images()], CLASSNAMES), shots=1
        ).run.data

    assert spec(lambda image: image) == spec(lambda image: image.clone()) != spec(lambda image: 255 - image)


def test_base_to_novel_on_an_object(tmp_path):
    images = labeled_images()
    four = ct.from_torch(
        [*images, *((255 - image, 3) for image, label in images if label == 0)], [*CLASSNAMES, "negative"]
    )
    run = ct.train("coop", data=four, shots=2, epochs=1, protocol="base-to-novel")
    assert run.classnames == ("cat", "horse") and set(run.evaluate()) == {"base", "novel"}
    run.save(tmp_path)
    assert ct.load(tmp_path).evaluate(data=four) == run.evaluate(), "by the run's own protocol"


def test_datasets_of_the_package_are_accepted(photos):
    folder = Folder(photos)
    run = ct.train("coop", data=folder, shots=2, epochs=1)
    assert run.run.data.startswith(f"python:{photos.name}@")
    named = ct.train("coop", data=f"folder:{photos}", shots=2, epochs=1)
    assert named.evaluate() == run.evaluate() == named.evaluate(data=folder)


def test_missing_splits_are_made_as_for_folders():
    data = ct.from_torch(LabeledImages())
    keys = {part: [e.key for e in data.examples(part)] for part in ("train", "val", "test")}
    assert [len(found) for found in keys.values()] == [12, 6, 6]
    assert sorted(k for found in keys.values() for k in found) == sorted(f"train/{i}" for i in range(24))
    assert ct.from_torch(LabeledImages()).examples("test") == data.examples("test")


def test_images_are_not_read_for_their_labels():
    source = LabeledImages()
    whole = ct.from_torch(source)
    assert source.asked == 2, "the first and the last, to see that their labels are those"
    source.asked = 0
    part = ct.from_torch(Subset(source, [0, 1, 8, 9, 16]))
    assert source.asked == 2 and part.name == "LabeledImages" and part.classnames == whole.classnames
    labels = sorted((int(e.key.split("/")[1]), e.label) for s in ("train", "val", "test") for e in part.examples(s))
    assert labels == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)]


def test_labels_are_found_in_every_kind_of_dataset():
    source, images = LabeledImages(), torch.stack([image for image, _ in labeled_images()])
    labels = torch.tensor(source.targets)

    class Wrong(LabeledImages):
        """Its targets do not belong to its items."""

        def __init__(self):
            super().__init__()
            self.targets = [0] * len(self.rows)

    class Changed(LabeledImages):
        target_transform = staticmethod(lambda label: 2 - label)

        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image, 2 - label

    class Slow(LabeledImages):
        def __init__(self):
            super().__init__()
            del self.targets

    for given in (
        source,
        ConcatDataset([source, source]),
        TensorDataset(images, labels),
        Wrong(),
        Slow(),
        list(source),
    ):
        data = ct.from_torch(given, CLASSNAMES)
        for split in ("train", "test"):
            for example in data.examples(split)[::3]:
                place = int(example.key.split("/")[1]) % 24
                assert example.label == source.targets[place]
                assert data.read(example).image.equal(images[place])
    assert {e.label for e in ct.from_torch(Changed()).examples("train") if int(e.key[6:]) < 8} == {2}


def test_torchvision_datasets(photos):
    data = ct.from_torch(torchvision.datasets.ImageFolder(str(photos)))
    assert data.name == "ImageFolder" and data.classnames == tuple(CLASSNAMES)
    fake = torchvision.datasets.FakeData(12, (3, 8, 8), num_classes=2)
    with pytest.raises(UserError, match=r"FakeData has no class names; pass classnames="):
        ct.train("coop", data=fake)


def test_given_class_names_are_used_unchanged():
    source = LabeledImages()
    source.classes = ["red_fox", "BigDog", "cat"]
    assert ct.from_torch(source).classnames == ("red fox", "Big Dog", "cat")
    assert ct.from_torch(source, source.classes).classnames == ("red_fox", "BigDog", "cat")


def test_a_torch_dataset_is_evaluated_completely(tmp_path):
    run = ct.train("coop", data=LabeledImages(), shots=2, epochs=1)
    unnamed = [(image, label) for image, label in labeled_images("test", 4)]
    assert run.evaluate(data=unnamed) == run.evaluate(data=ct.from_torch(test=unnamed, classnames=CLASSNAMES))
    assert run.evaluate(data=unnamed) == run.evaluate(data=LabeledImages("test", 4))


def test_masks_of_training_images():
    images = labeled_images()
    masks = np.zeros((24, 64, 64), np.uint8)
    masks[:, 16:48, 16:48] = 1
    data = ct.from_torch(images, CLASSNAMES, masks=masks)
    image = data.read(data.examples("train")[0])
    assert image.mask is not None and image.mask.equal(torch.from_numpy(masks[:1] * 255))
    run = ct.train("maple+dapt", data=data, shots=2, epochs=1)
    assert run.result is not None and "pull_push" in run.result.history[0]
    with pytest.raises(UserError, match="there are 23 masks for 24 training images; give one for each"):
        ct.from_torch(images, CLASSNAMES, masks=masks[:23])
    with pytest.raises(UserError, match="mask 0 of list is 8x64 but its image is 64x64 pixels"):
        odd = ct.from_torch(images, CLASSNAMES, masks=masks[:, :, :8])
        odd.read(next(e for s in ("train", "val", "test") for e in odd.examples(s) if e.key == "train/0"))


def test_templates_of_an_object():
    run = ct.train("zeroshot", data=LabeledImages(), shots=1, templates=["a drawing of a {}."])
    assert run.model.templates == ("a drawing of a {}.",)
    other = ct.train("zeroshot", data=LabeledImages(), shots=1)
    assert not torch.equal(run.text_features(), other.text_features())
