"""Protocols: training examples and test sets of each."""

import warnings

import pytest

from cliptune import protocols
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from cliptune.types import Task
from tiny_tasks import drawings, write_images

#: Required options of protocols.
OPTIONS = {"cross_dataset": {"targets": ("emoji:classes=validation,test_per_class=1",)}}


def keys(examples):
    return [e.key for e in examples]


@pytest.fixture(scope="module")
def source():
    return drawings()


def tasks(name, source, **more):
    return list(protocols.get(name)(source, **{**OPTIONS.get(name, {}), **more}))


def named(task: Task):
    """Training examples: key -> class name."""
    return {e.key: task.classnames[e.label] for e in task.train}


def test_names_with_dash_or_underscore():
    assert set(protocols.names()) >= {"few_shot", "base_to_novel"}
    assert protocols.get("base-to-novel") is protocols.get("base_to_novel")


@pytest.mark.parametrize("name, hint", [("base_to_new", "base_to_novel"), ("fewshot", "few_shot"), ("x", "few_shot")])
def test_an_unknown_protocol_shows_the_nearest(name, hint):
    with pytest.raises(UserError, match=f"unknown protocol '{name}'; (nearest|known): .*{hint}"):
        protocols.get(name)


@pytest.mark.parametrize("name", protocols.names())
def test_every_protocol_yields_a_complete_task_per_seed(name, source):
    found = tasks(name, source, shots=2, seeds=(5, 9))
    assert [task.seed for task in found] == [5, 9]
    assert keys(found[0].train) != keys(found[1].train)
    for task in found:
        assert task.name == name and task.dataset is source
        assert sorted({e.label for e in task.train}) == list(range(len(task.classnames)))
        assert all(e.key.split("/")[1] == task.classnames[e.label] for e in task.train + task.val)
        for test in task.tests.values():
            assert test.examples and not set(keys(test.examples)) & set(keys(task.train + task.val))
            assert all(e.key.split("/")[1] == test.classnames[e.label] for e in test.examples)
    again = tasks(name, source, shots=2, seeds=(5,))[0]
    assert (again.train, again.val, again.tests) == (found[0].train, found[0].val, found[0].tests)


def test_few_shot_is_all_classes(source):
    (task,) = tasks("few_shot", source, shots=3, seeds=(1,))
    assert task.classnames == source.classnames
    assert len(task.train) == 3 * len(source.classnames) and len(task.val) == 2 * len(source.classnames)
    assert set(task.tests) == {"test", *(f"test/{variant}" for variant in source.variants())}
    assert keys(task.tests["test"].examples) == keys(source.examples("test"))


def test_all_shots(source):
    (task,) = tasks("few_shot", source, shots=0, seeds=(1,))
    assert keys(task.train) == keys(source.examples("train"))


def test_base_to_novel_trains_on_the_first_half_and_tests_each_half_separately(source):
    (task,) = tasks("base_to_novel", source, shots=2, seeds=(1,))
    middle = -(-len(source.classnames) // 2)
    assert task.classnames == source.classnames[:middle]
    assert task.tests["base"].classnames == source.classnames[:middle]
    assert task.tests["novel"].classnames == source.classnames[middle:]
    assert {name.split("/")[0] for name in task.tests} == {"base", "novel"}
    for variant in source.variants():
        assert task.tests[f"base/{variant}"].classnames == task.classnames
        assert len(task.tests[f"base/{variant}"].examples) == len(task.tests["base"].examples)
    tested = keys(task.tests["base"].examples) + keys(task.tests["novel"].examples)
    assert sorted(tested) == sorted(keys(source.examples("test")))


def test_base_shots_equal_those_of_few_shot(source):
    (whole,) = tasks("few_shot", source, shots=2, seeds=(7,))
    (base,) = tasks("base_to_novel", source, shots=2, seeds=(7,))
    expected = {key: name for key, name in named(whole).items() if name in base.classnames}
    assert named(base) == expected and list(named(base)) == list(expected)


def test_classes_with_few_images_are_reported(tmp_path):
    root = write_images(tmp_path / "p", classes=("cat", "horse", "pig", "mouse"), each=8)
    for path in list((root / "pig").iterdir())[4:]:
        path.unlink()
    folder = Folder(root)
    available = [len([e for e in folder.examples("train") if e.label == i]) for i in range(4)]
    assert available == [4, 4, 4, 2]
    with pytest.warns(UserWarning, match=r"class 'pig' has 2 images, fewer than shots=4: all 2 are used"):
        (task,) = tasks("few_shot", folder, shots=4, seeds=(1,))
    assert len(task.train) == 4 * 3 + 2
    with warnings.catch_warnings():  # pig is a novel class, which is not trained
        warnings.simplefilter("error")
        tasks("base_to_novel", folder, shots=4, seeds=(1,))


def test_each_half_needs_two_classes(tmp_path):
    root = write_images(tmp_path / "p", each=4)
    with pytest.raises(UserError, match="base_to_novel needs at least 4 classes, but p has 3; use few_shot"):
        tasks("base_to_novel", Folder(root), shots=1)


def test_published_seeds_by_default():
    small = Emoji(train_per_class=1, val_per_class=1, test_per_class=1)
    for name in protocols.names():
        assert [task.seed for task in tasks(name, small, shots=1)] == [1, 2, 3]


def test_joint_predictions_are_among_all_class_names(source):
    (plain,) = tasks("base_to_novel", source, shots=2, seeds=(1,))
    (task,) = tasks("base_to_novel", source, shots=2, seeds=(1,), joint=True)
    joint = task.tests["joint"]
    assert {k: t for k, t in task.tests.items() if k != "joint"} == plain.tests and task.train == plain.train
    assert joint.classnames == source.classnames and keys(joint.examples) == keys(source.examples("test"))
    for part in ("base", "novel"):
        labels = joint.parts[f"{part}/joint"]
        shown = [e.key for e in joint.examples if e.label in labels]
        assert shown == keys(task.tests[part].examples)
        assert tuple(joint.classnames[i] for i in sorted(labels)) == task.tests[part].classnames


def test_cross_dataset_targets_keep_their_class_names_and_templates(source, tmp_path):
    root = write_images(tmp_path / "animals", classes=("cat", "horse"), each=4)
    drawn = "emoji:classes=validation,test_per_class=1"  # named by its spec, as the source is named emoji as well
    (task,) = tasks("cross_dataset", source, shots=2, seeds=(1,), targets=(f"folder:{root}", "noto", drawn))
    (whole,) = tasks("few_shot", source, shots=2, seeds=(1,))
    assert (task.train, task.val, task.classnames) == (whole.train, whole.val, whole.classnames)
    assert list(task.tests) == ["source", "animals", "noto", drawn]
    assert task.averaged == ("animals", "noto", drawn)
    assert task.tests["source"] == whole.tests["test"]
    animals = task.tests["animals"]
    assert animals.classnames == ("cat", "horse") and animals.templates == Folder(root).templates
    assert keys(animals.examples) == keys(Folder(root).evaluation_examples())
    assert animals.dataset.read(animals.examples[0]).image.shape == (3, 64, 64)
    other = Emoji(classes="validation", test_per_class=1)
    assert task.tests[drawn].classnames == other.classnames != source.classnames
    assert keys(task.tests[drawn].examples) == keys(other.examples("test"))


def test_targets_with_the_same_name_are_named_by_their_specs(tmp_path):
    roots = [write_images(tmp_path / place / "animals", classes=("cat", "horse"), each=4) for place in ("a", "b")]
    source = Folder(write_images(tmp_path / "own", classes=("cat", "horse"), each=4))
    targets = tuple(f"folder:{root}" for root in roots)
    (task,) = tasks("cross_dataset", source, shots=1, seeds=(1,), targets=targets)
    assert list(task.tests) == ["source", *(target.replace("/", "_") for target in targets)]


def test_targets_keep_their_templates_if_the_source_has_others(tmp_path):
    source = sources.get("emoji:test_per_class=1", DataConfig(templates=("a drawing of a {}.",)))
    root = write_images(tmp_path / "animals", classes=("cat", "horse"), each=4)
    (task,) = tasks("cross_dataset", source, shots=1, seeds=(1,), targets=(f"folder:{root}",))
    assert task.dataset.templates == ("a drawing of a {}.",)
    assert task.tests["animals"].templates == ("a photo of a {}.",)


def test_targets_are_opened_once_for_all_seeds(source, tmp_path):
    root = write_images(tmp_path / "animals", classes=("cat", "horse"), each=4)
    first, second = (
        tasks("cross_dataset", source, shots=1, seeds=(seed,), targets=(f"folder:{root}",))[0] for seed in (1, 2)
    )
    assert first.tests["animals"].dataset is second.tests["animals"].dataset


def test_default_domains_are_the_other_styles():
    source = Emoji(styles=("fluent-3d",), train_per_class=2, val_per_class=1, test_per_class=2)
    (task,) = tasks("domain_generalization", source, shots=1, seeds=(1,))
    assert list(task.tests) == ["source", "fluent-flat", "noto"] and task.averaged == ("fluent-flat", "noto")
    assert {e.style for e in task.train} == {e.style for e in task.tests["source"].examples} == {"fluent-3d"}
    for style in task.averaged:
        assert {e.style for e in task.tests[style].examples} == {style}
        assert task.tests[style].classnames == source.classnames
    (chosen,) = tasks("domain_generalization", source, shots=1, seeds=(1,), targets=("noto",))
    assert list(chosen.tests) == ["source", "noto"]


def test_domains_may_have_a_subset_of_the_classes(source, tmp_path):
    root = write_images(tmp_path / "animals", classes=("cat", "horse"), each=4)
    (task,) = tasks("domain_generalization", source, shots=1, seeds=(1,), targets=(f"folder:{root}",))
    assert task.tests["animals"].classnames == ("cat", "horse")
    other = "emoji:classes=validation"
    with pytest.raises(UserError, match=f"{other} has .* classes .*use cross_dataset"):
        tasks("domain_generalization", source, shots=1, targets=(other,))


@pytest.mark.parametrize(
    "name, targets, message",
    [
        ("cross_dataset", (), "name them with --targets"),
        ("cross_dataset", ("noto", "noto"), "'noto' occurs twice"),
        ("cross_dataset", ("caltech",), "unknown dataset 'caltech'; nearest: caltech101"),
        ("domain_generalization", ("not",), "unknown dataset 'not'"),
    ],
)
def test_wrong_targets(source, name, targets, message):
    with pytest.raises(UserError, match=message):
        tasks(name, source, shots=1, targets=targets)


def test_datasets_without_known_targets(tmp_path):
    with pytest.raises(UserError, match="none are known for p; .*--targets"):
        tasks("domain_generalization", Folder(write_images(tmp_path / "p", each=4)), shots=1)


def test_data_efficient_is_few_shot_with_all_images(source):
    (task,) = tasks("data_efficient", source, seeds=(1,))
    (whole,) = tasks("few_shot", source, shots=0, seeds=(1,))
    assert (task.train, task.tests) == (whole.train, whole.tests)
    (few,) = tasks("data_efficient", source, shots=3, seeds=(1,))
    assert few.train == tasks("few_shot", source, shots=3, seeds=(1,))[0].train


@pytest.mark.parametrize(
    "option, having", [("targets", ["cross_dataset", "domain_generalization"]), ("joint", ["base_to_novel"])]
)
def test_options_of_protocols(option, having):
    assert [name for name in protocols.names() if protocols.has_option(name, option)] == having
