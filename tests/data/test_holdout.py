"""Training images are set aside for validation only if a run needs validation images, and with a warning."""

import pytest

import cliptune as ct
from cliptune import presets, tasks
from cliptune.config import with_options
from cliptune.data.custom.csv import Csv
from cliptune.data.splits import exclude
from folder_datasets import write_class_folders


@pytest.fixture
def table(tmp_path):
    """A table with sixteen training and four test images of each of two classes."""
    write_class_folders(tmp_path, cat=20, dog=20)
    lines = ["path,label,split"]
    lines += [f"{n}/{i}.png,{n},{'train' if i < 16 else 'test'}" for n in ("cat", "dog") for i in range(20)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


def task(data, method="coop", shots=16, **options):
    run = with_options(presets.get(method, "none", data=data, shots=shots), options)
    return tasks.build_task(run)


def test_sixteen_training_images_are_sixteen_shots(table):
    chosen = task(f"csv:{table}")
    assert len(chosen.train) == 32 and chosen.val == () and len(chosen.tests["test"].examples) == 8


@pytest.mark.parametrize(
    "options, message",
    [
        ({"keep": "best"}, "keep=best needs validation images, and .* marks none: 6 of 32 .* keep=last$"),
        ({"method": "tip_adapter", "search": True}, "search needs .*: 6 of 32 .*3 of the 16 of class 'cat'.*them$"),
        ({"fraction": 0.5, "selector": "glister"}, "selector=glister needs .*: 6 of 32"),
    ],
)
def test_runs_that_need_validation_images_set_some_aside_with_a_warning(table, options, message):
    with pytest.warns(UserWarning, match="class 'cat' has 13 images, fewer than shots=16"):
        chosen = task(f"csv:{table}", **options)
    assert len(chosen.train) == 26 and len(chosen.val) == 6
    assert {e.key for e in chosen.train}.isdisjoint(e.key for e in chosen.val)
    method = options.pop("method", "coop")
    with pytest.warns(UserWarning, match=message), pytest.warns(UserWarning, match="class 'cat' has 13 images, fewer"):
        ct.train(method, data=f"csv:{table}", shots=16, **({"epochs": 1} if method == "coop" else {}), **options)


def test_the_held_out_images_are_those_of_earlier_versions(table):
    data = Csv(table)
    cut = [e.key for e in data.aside()]
    assert cut == ["cat/13.png", "cat/4.png", "cat/8.png", "dog/11.png", "dog/15.png", "dog/7.png"]
    assert exclude(data.examples("train"), data.aside()) == [e for e in data.examples("train") if e.key not in cut]


@pytest.mark.parametrize("kind", ["folder", "torch"])
def test_other_data_with_a_test_split(tmp_path, kind):
    root = tmp_path / "photos"
    for part, count in (("train", 16), ("test", 2)):
        write_class_folders(root / part, cat=count, dog=count)
    data = ct.data.sources.get(f"folder:{root}") if kind == "folder" else from_torch(root)
    train, val = data.draw(16, 1)
    assert (len(train), len(val), len(data.aside())) == (32, 0, 6)


def from_torch(root):
    from torchvision.datasets import ImageFolder

    return ct.from_torch(ImageFolder(root / "train"), test=ImageFolder(root / "test"))
