"""The images that a tuned model is evaluated on."""

import pytest

from cliptune.config import RunConfig
from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from cliptune.evaluation_data import evaluation_task
from cliptune.methods.zeroshot import ZeroShot
from tiny_tasks import write_images

CLASSES = ("cat", "horse", "pig")


@pytest.fixture
def run(photos):
    return RunConfig(ZeroShot(), data=f"folder:{photos}", shots=2)


def evaluated_keys(run, data, classnames=CLASSES):
    """The examples of the only test set."""
    (test_set,) = evaluation_task(data, run, trained=run, classnames=classnames, path=None).tests.values()
    return [example.key for example in test_set.examples]


def test_the_test_sets_of_the_run_are_the_default(run, photos):
    assert evaluated_keys(run, None) == [e.key for e in Folder(photos).examples("test")]
    with pytest.raises(UserError, match="the classes are not those the run was trained on"):
        evaluated_keys(run, None, ("mouse", "horse"))
    with pytest.raises(UserError, match="does not name its data"):
        evaluated_keys(RunConfig(ZeroShot(), data=""), None)


def test_a_whole_folder_is_tested_unless_it_has_a_test_split(run, tmp_path):
    write_images(tmp_path / "whole", classes=("mouse", "bear"), each=6)
    for part, each in (("train", 3), ("test", 2)):
        write_images(tmp_path / "parts" / part, classes=("mouse", "bear"), each=each)
    for folder, count in (("whole", 12), ("parts", 4)):
        keys = evaluated_keys(run, f"folder:{tmp_path / folder}")
        assert len(keys) == len(set(keys)) == count


def test_training_images_are_not_tested(run, photos):
    assert evaluated_keys(run, f"folder:{photos}/../{photos.name}") == [e.key for e in Folder(photos).examples("test")]
