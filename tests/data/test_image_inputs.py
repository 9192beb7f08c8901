"""`predict`, `logits` and `image_features` take one or many images of every type; anything else is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

import cliptune as ct
from cliptune import tuned
from cliptune.config import RunConfig
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel

NAMES = ("cat", "horse", "pig")


@pytest.fixture(scope="module")
def run(tiny_backbone):
    method = Maple(depth=2)
    return ct.Tuned(TunedModel(tiny_backbone, method, NAMES), RunConfig(method, data="emoji"))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of random pixels, 40 high and 56 wide."""
    file = tmp_path_factory.mktemp("given") / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)).save(file)
    return file


class Named:
    """A path-like object of a custom class."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def kinds(path):
    image = Image.open(path).convert("RGB")
    array, tensor = np.asarray(image), pil_to_tensor(image)
    content = path.read_bytes()
    return {
        "path": path,
        "str": str(path),
        "PathLike": Named(path),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "BytesIO": io.BytesIO(content),
        "PIL": image,
        "RGBA, opaque": image.convert("RGBA"),
        "array": array,
        "array, Fortran order": np.asfortranarray(array),
        "array, other byte order": (array / 255).astype(">f4"),
        "float array": array / 255,
        "four channels": np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
        "tensor": tensor,
        "float tensor": tensor.float() / 255,
        "half tensor": tensor.double() / 255,
    }


@pytest.mark.parametrize("ask", ["logits", "image_features"])
def test_one_image_of_any_type_gives_the_same(run, path, ask):
    expected = getattr(run, ask)(path)
    assert expected.shape[0] == 1
    for kind, image in kinds(path).items():
        assert torch.equal(getattr(run, ask)(image), expected), kind
        assert torch.equal(getattr(run, ask)([image]), expected), kind
    assert run.predict(path) == run.predict([path])[0] == run.predict(path.read_bytes())


def test_an_open_file_is_read_from_its_start_every_time(run, path):
    with open(path, "rb") as file:
        file.read(7)
        assert run.predict(file) == run.predict(file) == run.predict(path)


def test_one_channel_is_gray(run):
    gray = np.random.default_rng(1).integers(0, 256, (40, 56), np.uint8)
    expected = run.logits(Image.fromarray(gray).convert("RGB"))
    for image in (gray, gray[..., None], torch.from_numpy(gray), torch.from_numpy(gray)[None], Image.fromarray(gray)):
        assert torch.equal(run.logits(image), expected)


@pytest.mark.parametrize("made", [list, tuple, iter, lambda images: (image for image in images), np.stack])
def test_several_keep_their_order(run, made):
    images = [np.full((40, 40, 3), level, np.uint8) for level in (0, 60, 120, 180, 240)]
    expected = torch.cat([run.image_features(image) for image in images])
    assert torch.allclose(run.image_features(made(images)), expected, atol=1e-5)
    assert [name for name, _ in run.predict(made(images))] == [run.predict(image)[0] for image in images]
    assert len(run.predict(made(images), top_k=2)) == 5


def test_a_batch_of_tensors(run):
    batch = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8)
    assert torch.allclose(run.logits(batch), run.logits(list(batch)), atol=1e-4)
    assert isinstance(run.predict(batch[:1]), list), "a batch of one is a batch"


def test_assumptions_about_deep_images_are_reported_once(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tuned, "BATCH_SIZE", 2)
    for i in range(5):
        Image.fromarray(np.full((40, 40), 100 + 900 * i, np.uint16)).save(tmp_path / f"{i}.png")
    paths = sorted(tmp_path.iterdir())
    with pytest.warns(UserWarning) as noted:
        run.predict(paths[3:])
    notes = [str(note.message) for note in noted if "drawings only" not in str(note.message)]
    assert [one.split(" is assumed")[0] for one in notes] == ["the range of 2 of 2 images"]
    with pytest.warns(UserWarning, match=r"image .*4\.png: 16-bit values are read as 12 bits") as noted:
        run.predict(paths[4])
    assert sum("drawings only" not in str(note.message) for note in noted) == 1
    with collect_assumed_ranges() as found:
        run.logits(paths)
    assert len(found) == 5


def test_few_images_are_decoded_at_a_time(run, monkeypatch):
    monkeypatch.setattr(tuned, "BATCH_SIZE", 4)
    given, answered, ahead = 0, 0, []
    forward = TunedModel.forward

    def images():
        nonlocal given
        for _ in range(11):
            given += 1
            yield np.zeros((8, 8, 3), np.uint8)

    def counted(model, views, state=None):
        nonlocal answered
        ahead.append(given - answered)
        answered += len(views["image"])
        return forward(model, views, state)

    monkeypatch.setattr(TunedModel, "forward", counted)
    assert run.logits(images()).shape == (11, 3)
    assert answered == 11 and max(ahead) <= 4


@pytest.mark.parametrize("ask", ["predict", "logits", "image_features"])
@pytest.mark.parametrize(
    "images, reason",
    [
        ([], "no images given; pass at least one image"),
        (iter(()), "no images given"),
        (None, r"the image is a NoneType; expected a path, bytes of an image file, .* an array \(H, W, C\)"),
        (3, "the image is a int; expected a path"),
        ({"image": 1}, "the image is a dict; expected a path"),
        ({"a.png", "b.png"}, "the images are a set, which has no order; give a list"),
        ([[1, 2]], "image 0 is a list; expected a path"),
        ([(np.zeros((4, 4, 3), np.uint8), 1)], "image 0 is a tuple; expected a path"),
        (b"", "the image cannot be read: it is empty"),
        (b"no image at all", "the image cannot be read: it is no image"),
        (io.BytesIO(b"\x89PNG"), "the image cannot be read: it is "),
        (io.StringIO("text"), "the image gives str, not bytes; open it with open"),
        ("https://example.org/cat.jpg", "https://example.org/cat.jpg is a URL, and nothing is downloaded here"),
        ("none.png", "no image at none.png; check the path"),
        (["none\0.png"], "no image at none"),
        (".", r". is a folder; give its images: sorted\(Path\('.'\)"),
        (Image.new("RGB", (0, 4)), "the image is empty: its size is 0x4"),
        (np.zeros((0, 4, 3), np.uint8), r"the image has the shape \(0, 4, 3\); expected one image"),
        (np.zeros((3, 4, 5), np.uint8), r"the image has the shape \(3, 4, 5\); expected \(H, W, C\)"),
        (np.zeros(4, np.uint8), r"the image has the shape \(4,\); expected one image"),
        (np.zeros((2, 3, 4, 5, 6), np.uint8), "expected one image"),
        (torch.zeros(6, 5, 3, dtype=torch.uint8), r"the image has the shape \(6, 5, 3\); expected \(C, H, W\)"),
        (np.zeros((4, 4, 3), np.int64), "the image is of torch.int64; expected uint8, or float in"),
        (np.full((4, 4, 3), 200.0), "the image has values from 200 to 200; floats are in"),
        (torch.full((3, 4, 4), -1.0), "so give images without Normalize"),
        (np.full((4, 4, 3), np.nan), "the image has values from nan to nan"),
        (np.array(["a.png"]), "the image is an array of <U5; expected uint8"),
        (np.full((4, 4, 3), None), "the image is an array of object; expected uint8"),
        (np.zeros((4, 4, 3), np.complex64), "the image is an array of complex64; expected uint8"),
    ],
    ids=lambda given: given[:24] if isinstance(given, str) else type(given).__name__,
)
def test_other_inputs_are_refused(run, ask, images, reason):
    with pytest.raises(ct.UserError, match=reason) as caught:
        getattr(run, ask)(images)
    assert "\n" not in str(caught.value)


def test_the_invalid_image_is_named(run, path):
    with pytest.raises(ct.UserError, match="image 2 is a float; expected"):
        run.predict([path, path, 0.5])


def test_files_that_cannot_be_read(run, path):
    with open(path, "rb") as closed, Image.open(path) as gone:
        pass
    for image in (closed, gone):
        with pytest.raises(ct.UserError, match="cannot be read"):
            run.predict(image)
    with open(path, encoding="latin-1") as text, pytest.raises(ct.UserError, match="open it with open"):
        run.predict(text)
