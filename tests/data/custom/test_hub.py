"""Datasets saved to disk by the `datasets` package; nothing is downloaded."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.errors import UserError

datasets = pytest.importorskip("datasets")
PARTS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No network, no progress bars, and a temporary cache."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def rows(count=10, image="image", label="label", names=("cat", "red_fox"), first=0):
    features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=list(names))})
    columns = {
        image: [{"bytes": png(first + i), "path": None} for i in range(count)],
        label: [i % len(names) for i in range(count)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def saved(tmp_path, **parts):
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return f"hub:{tmp_path / 'saved'}"


def counts(dataset):
    return [len(dataset.examples(part)) for part in PARTS]


def test_a_saved_dataset(tmp_path):
    dataset = sources.get(saved(tmp_path, train=rows(20), test=rows(4, first=100)))
    assert dataset.classnames == ("cat", "red fox") and counts(dataset) == [20, 0, 4]
    example = dataset.examples("test")[-1]
    assert (example.key, example.label, example.path) == ("test/3", 1, None)
    image = dataset.read(example)
    assert image.image.shape == (3, 6, 8) and image.image[:, 0, 0].tolist() == [103, 0, 0] and image.mask is None


@pytest.mark.parametrize("name", ["validation", "valid", "dev", "val"])
def test_names_of_splits(tmp_path, name):
    assert counts(sources.get(saved(tmp_path, **{"train": rows(6), name: rows(4), "test": rows(2)}))) == [6, 4, 2]


def test_missing_splits_are_made_as_for_folders(tmp_path):
    dataset = sources.get(saved(tmp_path, train=rows(20)))
    assert counts(dataset) == [10, 4, 6]
    keys = [e.key for part in PARTS for e in dataset.examples(part)]
    assert sorted(keys) == sorted(f"train/{i}" for i in range(20))
    assert sources.get(f"hub:{tmp_path / 'saved'}").examples("test") == dataset.examples("test")


def test_a_single_split_of_another_name_is_training(tmp_path):
    dataset = sources.get(saved(tmp_path, full=rows(20)))
    assert counts(dataset) == [10, 4, 6] and dataset.examples("train")[0].key.startswith("full/")


def test_unused_splits_are_reported(tmp_path):
    with pytest.warns(UserWarning, match="^splits of .* that are not used: unsupervised$"):
        sources.get(saved(tmp_path, train=rows(20), unsupervised=rows(4)))


def test_one_split_saved_alone(tmp_path):
    rows(20).save_to_disk(tmp_path / "one")
    assert counts(sources.get(f"hub:{tmp_path / 'one'}")) == [10, 4, 6]


def test_a_parquet_file_and_a_folder_of_them(tmp_path):
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / "train-00000-of-00001.parquet"
    rows(20).to_parquet(str(file))
    for path in (file, file.parent):
        dataset = sources.get(f"hub:{path}")
        assert dataset.classnames == ("cat", "red fox") and counts(dataset) == [10, 4, 6]
        row = int(dataset.examples("val")[0].key.split("/")[1])
        assert dataset.read(dataset.examples("val")[0]).image[0, 0, 0] == row


def test_a_folder_of_images_as_the_package_reads_it(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for i in range(4):
            (tmp_path / "photos" / "train" / name / f"{i}.png").write_bytes(png(i))
    dataset = sources.get(f"hub:{tmp_path / 'photos'}")
    assert dataset.classnames == ("cat", "dog")
    assert dataset.read(dataset.examples("test")[0]).image.shape == (3, 6, 8)


@pytest.mark.parametrize("image, label", [("img", "fine_label"), ("photo", "category"), ("x", "what")])
def test_columns_are_recognised_by_their_types(tmp_path, image, label):
    assert counts(sources.get(saved(tmp_path, train=rows(20, image, label)))) == [10, 4, 6]


def test_columns_can_be_named(tmp_path):
    both = rows(20).add_column("colour", [["red", "blue"][i // 10] for i in range(20)])
    spec = saved(tmp_path, train=both)
    assert sources.get(spec, DataConfig(label_column="colour")).classnames == ("blue", "red")
    with pytest.raises(UserError, match="has no column 'color'; it has image, label, colour"):
        sources.get(spec, DataConfig(label_column="color"))


def test_ambiguous_columns_are_refused(tmp_path):
    after = rows(20, "after").remove_columns("label")
    two = datasets.concatenate_datasets([rows(20, "before"), after], axis=1)
    spec = saved(tmp_path, train=two)
    with pytest.raises(
        UserError, match="which column of .* contains the images. It has before, label, after; .*--image-column"
    ):
        sources.get(spec)
    assert counts(sources.get(spec, DataConfig(image_column="after"))) == [10, 4, 6]


def test_labels_without_names(tmp_path):
    names = rows(20).remove_columns("label").add_column("label", ["red_fox", "cat"] * 10)
    assert sources.get(saved(tmp_path, train=names)).classnames == ("cat", "red fox")
    numbers = rows(20).remove_columns("label").add_column("label", [10, 9] * 10)
    numbers.save_to_disk(tmp_path / "numbers")
    with pytest.warns(UserWarning, match="class names such as '9' in .* are not words"):
        assert sources.get(f"hub:{tmp_path / 'numbers'}").classnames == ("9", "10")


def test_hidden_labels(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    hidden = datasets.Dataset.from_dict({"image": rows(4)["image"][:], "label": [-1] * 4}, features=features)
    spec = saved(
        tmp_path, train=rows(20), test=hidden.cast_column("label", datasets.ClassLabel(names=["cat", "red_fox"]))
    )
    with pytest.warns(UserWarning, match="^4 of 4 test images of .* have no label; ignored$"):
        assert counts(sources.get(spec))[2] == 0


def test_several_labels_per_image(tmp_path):
    many = rows(4).remove_columns("label").add_column("label", [[0, 1]] * 4)
    with pytest.raises(UserError, match=r"column 'label' of .* contains \[0, 1\]; a label is a name or an integer"):
        sources.get(saved(tmp_path, train=many))


def test_images_are_read_like_files(tmp_path):
    sixteen = io.BytesIO()
    Image.fromarray(np.full((6, 8), 257 * 200, np.uint16)).save(sixteen, "PNG")
    cells = rows(4)["image"][:]
    kinds = [{"bytes": sixteen.getvalue(), "path": None}, {"bytes": b"broken", "path": None}, *cells[2:]]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    odd = datasets.Dataset.from_dict({"image": kinds, "label": [0, 1, 0, 1]}, features=features)
    dataset = sources.get(saved(tmp_path, train=rows(4), test=odd))
    by_key = {e.key: e for e in dataset.examples("test")}
    assert dataset.read(by_key["test/0"]).image.unique().tolist() == [200]
    with pytest.raises(UserError, match="image test/1 of .*saved .*is no image"):
        dataset.read(by_key["test/1"])


def test_unloadable_datasets_are_refused():
    with pytest.raises(
        UserError, match="dataset 'no-user/no-data' cannot be loaded: .*; check the name and the connection"
    ):
        sources.get("hub:no-user/no-data")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="cannot be loaded: Parquet magic bytes not found in footer"):
        sources.get(f"hub:{tmp_path / 'train.parquet'}")


@pytest.mark.parametrize("argument", ["", "x/y,conf=a", "x/y,config=", "x/y,a"])
def test_invalid_specs_are_refused(argument):
    with pytest.raises(UserError, match="hub takes a dataset's name and, after commas, config=NAME and revision=NAME"):
        sources.get(f"hub:{argument}")


def test_config_and_revision_are_passed_on(monkeypatch):
    seen = {}
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **more: seen.update(args=a, **more) or {"train": rows(20)})
    sources.get("hub:user/name,config=small,revision=v2")
    assert seen == {"args": ("user/name", "small"), "revision": "v2"}


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r'hub data needs the package datasets: pip install "cliptune\[hub\]"'):
        sources.get("hub:user/name")
