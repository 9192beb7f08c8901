import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from cliptune.masks.folder import FolderMasks
from cliptune.segmentation import mask_folder
from cliptune.segmentation.make import Segmenter, classes_in, explain_out_of_memory, make_masks, read_images
from tiny_tasks import drawings, write_images


class Exact(Segmenter):
    """Returns the drawings' masks times `scale`. Stops at the image `stop`."""

    settings = {"with": "exact"}
    batch_size = 2

    def __init__(self, scale=1.0, stop=None):
        self.scale, self.stop, self.asked, self.batches = scale, stop, [], []

    def segment(self, dataset, examples):
        self.batches.append(len(examples))
        for example in examples:
            if example.key == self.stop:
                raise KeyboardInterrupt
            self.asked.append(example.key)
            yield example, dataset.read(example).mask[0] / 255 * self.scale


class Fixed(Segmenter):
    """Returns the given value for each image, by key."""

    settings = {"with": "fixed"}

    def __init__(self, **answers):
        self.given = answers

    def segment(self, dataset, examples):
        for example in examples:
            size = dataset.read(example).image.shape[-2:]
            result = self.given.get(example.key.rpartition("/")[2].partition(".")[0], 1.0)
            yield example, result if isinstance(result, str) else torch.full(size, result)


class White(Segmenter):
    """Returns full foreground of one size."""

    settings = {"with": "white"}

    def segment(self, dataset, examples):
        yield from ((example, torch.ones(64, 64)) for example in examples)


@pytest.fixture
def few():
    return drawings().examples("train")[::40]


@pytest.fixture
def photos(tmp_path):
    return Folder(write_images(tmp_path / "photos", each=5))


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == "L" and image.format == "PNG"
        return np.asarray(image)


def test_masks_are_written_where_sources_look_for_them(few, tmp_path):
    done = make_masks(drawings(), few, Exact(), tmp_path / "out")
    assert (done.made, done.existing, done.empty, done.missing) == (len(few), 0, (), {})
    source = FolderMasks(tmp_path / "out")
    source.check(few)
    for example in few:
        image = drawings().read(example)
        found = source.mask(example, image)
        assert torch.equal(found, (image.mask >= 127.5) * torch.tensor(255, dtype=torch.uint8))
        assert 0 < (found > 0).float().mean() < 1


def test_grey_values_are_kept_on_request(few, tmp_path):
    make_masks(drawings(), few[:2], Exact(), tmp_path, soft=True)
    file = mask_folder.mask_paths(drawings(), few, tmp_path)[few[0].key]
    assert np.array_equal(pixels(file), drawings().read(few[0]).mask[0].numpy())


def test_the_threshold_defaults_to_the_segmenters(few, tmp_path):
    def share(segmenter, name, **more):
        make_masks(drawings(), few[:1], segmenter, tmp_path / name, **more)
        return (pixels(mask_folder.mask_paths(drawings(), few, tmp_path / name)[few[0].key]) > 0).mean()

    low = Exact(0.3)
    low.threshold = 0.2
    assert share(Exact(0.3), "own") == 0
    assert share(low, "low") == share(Exact(0.3), "fixed", threshold=0.2) > 0


def test_only_missing_or_damaged_masks_are_made(photos, tmp_path):
    examples, out = photos.examples("train"), tmp_path / "out"
    make_masks(photos, examples, Fixed(), out)
    files = list(mask_folder.mask_paths(photos, examples, out).values())
    files[0].write_bytes(files[0].read_bytes()[:-30])
    files[1].write_bytes(b"")
    Image.new("L", (5, 5)).save(files[2])
    files[3].unlink()
    untouched = files[4].stat().st_mtime_ns
    done = make_masks(photos, examples, Fixed(), out)
    assert (done.made, done.existing) == (4, len(examples) - 4)
    assert files[4].stat().st_mtime_ns == untouched
    assert all(pixels(file).min() == 255 for file in files)


def test_a_stopped_run_is_resumed(few, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_masks(drawings(), few, Exact(stop=few[3].key), tmp_path)
    rest, progress = Exact(), []
    done = make_masks(drawings(), few, rest, tmp_path, tick=lambda *at: progress.append(at))
    assert (done.made, done.existing) == (len(few) - 3, 3)
    assert rest.asked == [e.key for e in few[3:]]
    assert progress == [(i + 1, len(few)) for i in range(len(few))]
    assert [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")] == []


def test_batches(few, tmp_path):
    for size, sizes in ((None, [2, 2, 1]), (3, [3, 2]), (0, [5])):
        segmenter = Exact()
        make_masks(drawings(), few[:5], segmenter, tmp_path, batch_size=size, overwrite=True)
        assert segmenter.batches == sizes


def test_overwriting_makes_all_masks_again_even_after_a_stop(few, tmp_path):
    make_masks(drawings(), few, Exact(0.0), tmp_path)
    other = Exact(stop=few[1].key)
    other.settings = {"with": "other"}
    with pytest.raises(KeyboardInterrupt):
        make_masks(drawings(), few, other, tmp_path, overwrite=True)
    other.stop = None
    done = make_masks(drawings(), few, other, tmp_path)
    assert (done.made, done.existing, done.empty) == (len(few) - 1, 1, ())


def test_masks_of_different_settings_are_not_mixed(few, tmp_path):
    make_masks(drawings(), few[:2], Exact(), tmp_path)
    with pytest.raises(UserError, match=r"--threshold 0.5, not 0.3; choose another --out, or --overwrite"):
        make_masks(drawings(), few, Exact(), tmp_path, threshold=0.3)
    with pytest.raises(UserError, match="--soft"):
        make_masks(drawings(), few, Exact(), tmp_path, soft=True)
    with pytest.raises(UserError, match="--with .exact., not .fixed."):
        make_masks(drawings(), few, Fixed(), tmp_path)
    assert json.loads((tmp_path / "masks.json").read_text()) == {"with": "exact", "threshold": 0.5}
    (tmp_path / "masks.json").write_text("[1")
    with pytest.raises(UserError, match="masks.json cannot be read"):
        make_masks(drawings(), few, Exact(), tmp_path)


def test_the_folder_is_created_with_the_first_mask(few, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_masks(drawings(), few, Exact(stop=few[0].key), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_empty_and_missing_masks_are_reported(photos, tmp_path):
    examples = [e for e in photos.examples("train") if e.key.startswith("cat/")]
    one, other = examples[0], examples[1]
    answers = {one.path.stem: 0.1, other.path.stem: "no luck"}
    done = make_masks(photos, examples, Fixed(**answers), tmp_path / "out")
    assert done.empty == (one.key,) and done.missing == {other.key: "no luck"}
    assert (done.made, done.existing) == (len(examples) - 1, 0)
    again = make_masks(photos, examples, Fixed(**answers), tmp_path / "out")
    assert again.empty == (one.key,) and (again.made, again.existing) == (0, len(examples) - 1)


def test_unreadable_images_do_not_stop_the_others(photos):
    examples = photos.examples("train")
    examples[1].path.write_bytes(b"junk")
    seen, images, unread = read_images(photos, examples)
    assert seen == [examples[0], *examples[2:]] and len(images) == len(seen)
    assert list(unread) == [examples[1].key] and str(examples[1].path) in unread[examples[1].key]


def test_images_that_differ_only_in_their_suffix(tmp_path):
    root = write_images(tmp_path / "photos")
    Image.open(root / "cat" / "0.png").resize((32, 32)).save(root / "cat" / "0.jpg")
    photos = Folder(root)
    examples = [e for part in ("train", "val", "test") for e in photos.examples(part)]
    make_masks(photos, examples, Fixed(), tmp_path / "out")
    source = FolderMasks(tmp_path / "out")
    source.check(examples)
    found = {e.key: source.find(e) for e in examples}
    assert len(set(found.values())) == len(examples)
    assert pixels(found["cat/0.jpg"]).shape == (32, 32) and pixels(found["cat/0.png"]).shape == (64, 64)


def test_masks_of_images_outside_stay_in_the_folder(tmp_path):
    photos = write_images(tmp_path / "photos", each=1)
    example = drawings().examples("train")[0]
    whole = replace(example, key=str(photos / "cat" / "0.png"), path=photos / "cat" / "0.png")
    above = replace(example, key="../../cat/2.jpg", path=photos / "cat" / "0.png")
    make_masks(drawings(), [whole, above], White(), tmp_path / "out")
    places = mask_folder.mask_paths(drawings(), [whole, above], tmp_path / "out")
    assert places[above.key] == tmp_path / "out" / "cat" / "2.png"
    source = FolderMasks(tmp_path / "out")
    for each in (whole, above):
        assert source.find(each) == places[each.key] and places[each.key].is_relative_to(tmp_path / "out")
        assert places[each.key].is_file()


def test_masks_of_exif_rotated_images_are_upright(tmp_path):
    root = write_images(tmp_path / "photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (root / "cat").iterdir():
        Image.open(file).resize((40, 20)).save(file.with_suffix(".jpg"), exif=exif)
        file.unlink()
    photos = Folder(root)
    examples = [e for e in photos.examples("train") if e.key.startswith("cat/")]
    for expected in ((len(examples), 0), (0, len(examples))):
        done = make_masks(photos, examples, Fixed(), tmp_path / "out")
        assert (done.made, done.existing) == expected
    assert pixels(tmp_path / "out" / examples[0].key.replace(".jpg", ".png")).shape == (40, 20)


def test_several_classes_in_an_image():
    example = replace(drawings().examples("train")[0], label=1, labels=(1, 3))
    names = drawings().classnames
    assert classes_in(drawings(), example) == [(1, names[1]), (3, names[3])]
    assert classes_in(drawings(), replace(example, labels=())) == [(1, names[1])]


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 1.5}, {"batch_size": -1}])
def test_invalid_values_are_refused(few, tmp_path, wrong):
    with pytest.raises(UserError, match=f"{next(iter(wrong))} must be"):
        make_masks(drawings(), few, Exact(), tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_one_sentence():
    with pytest.raises(UserError, match="8 images at once do not fit.*--batch-size"), explain_out_of_memory(8):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")
