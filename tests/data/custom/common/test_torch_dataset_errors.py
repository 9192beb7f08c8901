"""Messages about unsupported objects and about images that cannot be read."""

import pytest
from torch.utils.data import IterableDataset

import cliptune as ct
from cliptune.errors import UserError
from python_datasets import CLASSNAMES, RGB, LabeledImages, labeled_images


@pytest.mark.parametrize(
    "given, reason",
    [
        (3, "int's train part is a int; expected a torch dataset or a sequence"),
        ([], "list's train part is empty"),
        ([RGB], r"item 0 of list's train part is a Tensor; expected \(image, label\)"),
        ([{"image": RGB, "label": 0}], r"item 0 of list's train part is a dict; expected \(image, label\)"),
        ([(RGB, "cat")], "item 0 of list's train part has the label cat; expected an integer"),
        (
            [(RGB, 0), (RGB, 3)],
            "image 1 of list's train part has label 3, but there are 3 class names, for labels 0 to 2",
        ),
        ([(RGB, 0), (RGB, 0)], r"list has one class only \(0\)|one class only \(cat\)"),
    ],
)
def test_unsupported_objects_are_refused(given, reason):
    with pytest.raises(UserError, match=reason):
        ct.from_torch(given, CLASSNAMES)


def test_unsupported_arguments_of_train(tmp_path):
    class Stream(IterableDataset):
        classes = CLASSNAMES

        def __iter__(self):
            return iter(labeled_images())

    class Broken(LabeledImages):
        def __getitem__(self, i):
            raise OSError("disk gone")

    with pytest.raises(
        UserError, match="Stream's train part is a Stream; expected a torch dataset .* length and items"
    ):
        ct.train("coop", data=Stream())
    with pytest.raises(UserError, match="item 0 of Broken's train part cannot be read: OSError: disk gone"):
        ct.train("coop", data=Broken())
    with pytest.raises(UserError, match=f"data='{tmp_path}' is a path; name its type: data='folder:{tmp_path}'"):
        ct.train("coop", data=tmp_path)
    with pytest.raises(UserError, match="no images given; pass train=, or test="):
        ct.from_torch()
    with pytest.raises(UserError, match="classnames is a list of names, got 'cat dog'"):
        ct.from_torch(LabeledImages(), "cat dog")


def test_an_image_that_fails_later_is_named():
    class Late(LabeledImages):
        def __getitem__(self, i):
            if 0 < i < 23:
                raise OSError("disk gone")
            return super().__getitem__(i)

    data = ct.from_torch(Late())
    example = next(e for e in data.examples("train") if 0 < int(e.key[6:]) < 23)
    with pytest.raises(UserError, match=r"image \d+ of Late's train part cannot be read: OSError: disk gone"):
        data.read(example)
