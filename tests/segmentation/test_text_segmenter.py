"""Segmenters of transformers: tiny random models of the real classes, saved and loaded."""

import sys

import pytest
import torch
import torch.nn.functional as F

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from cliptune.segmentation.make import make_masks
from cliptune.segmentation.pretrained import load_pretrained
from cliptune.segmentation.sam import SAM, SamSegmenter
from cliptune.segmentation.text_segmenter import CLIPSEG, SAM3, TextSegmenter
from tiny_segmenters import TINY
from tiny_tasks import drawings, write_images

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
KINDS = {"clipseg": CLIPSEG, "sam": SAM, "sam2": SAM, "sam3": SAM3}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A function that saves a tiny model once and returns its folder."""
    root = tmp_path_factory.mktemp("models")
    transformers.logging.disable_progress_bar()

    def save(name):
        if not (root / name).is_dir():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                model, processor = TINY[name]()
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.add_(0.3 * torch.randn_like(parameter))  # untrained maps are almost flat
                model.save_pretrained(root / name)
                processor.save_pretrained(root / name)
        return root / name

    return save


def segmenter_of(name, folder, **more):
    loaded = load_pretrained(KINDS[name], str(folder))
    if KINDS[name] != SAM:
        return TextSegmenter(loaded, **more)
    return SamSegmenter(loaded, lambda images, labels: torch.rand(len(images), 1, 4, 4), points=3, chunk=5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of three shapes."""
    from PIL import Image

    root = write_images(tmp_path_factory.mktemp("data") / "photos", each=4)
    for name, size in (("horse", (50, 30)), ("pig", (20, 70))):
        for file in (root / name).iterdir():
            Image.open(file).resize(size).save(file)
    return Folder(root)


@pytest.mark.parametrize("name", TINY)
def test_maps_have_the_size_of_their_image(saved_model, photos, name, tmp_path):
    examples = photos.examples("train")
    segmenter = segmenter_of(name, saved_model(name))
    torch.manual_seed(0)
    found = list(segmenter.segment(photos, examples))
    assert [example for example, _ in found] == examples
    for example, mask in found:
        assert mask.shape == photos.read(example).image.shape[-2:]
        assert 0 <= mask.min() < mask.max() <= 1 and not mask.requires_grad
    done = make_masks(photos, examples, segmenter, tmp_path / "out", soft=True)
    assert (done.made, done.missing) == (len(examples), {})


@pytest.mark.parametrize("name", ["clipseg", "sam3"])
def test_a_map_does_not_depend_on_its_batch(saved_model, photos, name):
    examples = photos.examples("train")[::3]
    segmenter = segmenter_of(name, saved_model(name))
    together = dict(segmenter.segment(photos, examples))
    for example in examples:
        ((_, alone),) = segmenter.segment(photos, [example])
        assert torch.allclose(alone, together[example], atol=1e-4)


def test_clipseg_equals_transformers(saved_model, photos):
    model, processor = (
        cls.from_pretrained(saved_model("clipseg"))
        for cls in (transformers.CLIPSegForImageSegmentation, transformers.CLIPSegProcessor)
    )
    example = photos.examples("train")[-1]
    image = photos.read(example).image
    for prompt, sentence in (("", "a photo of a pig."), ("{}", "pig")):
        inputs = processor(text=[sentence], images=[image], return_tensors="pt")
        with torch.no_grad():
            logits = model.eval()(**inputs).logits.reshape(1, 1, 32, 32)
        ((_, found),) = segmenter_of("clipseg", saved_model("clipseg"), prompt=prompt).segment(photos, [example])
        expected = F.interpolate(logits, image.shape[-2:], mode="bilinear")[0, 0].sigmoid()
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_sam_returns_one_of_the_masks_of_transformers(saved_model, photos, name):
    """The mask at the centre of the image, the only point of a 1 x 1 grid."""
    segmenter = segmenter_of(name, saved_model(name))
    segmenter.points = 1
    processor = transformers.AutoProcessor.from_pretrained(saved_model(name))
    for example in photos.examples("train")[::3]:
        image = photos.read(example).image
        height, width = image.shape[-2:]
        inputs = processor(images=[image], input_points=[[[[width / 2, height / 2]]]], return_tensors="pt")
        sizes = [inputs.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
        with torch.no_grad():
            out = segmenter.loaded.model(**{k: v.float() for k, v in inputs.items() if "labels" not in k})
        (candidates,) = processor.post_process_masks(out.pred_masks, *sizes)
        ((_, found),) = segmenter.segment(photos, [example])
        differing = [float(((found > 0.5) != mask).float().mean()) for mask in candidates[0]]
        assert min(differing) < 0.01 < max(differing), differing


def test_maps_depend_on_the_prompt(saved_model, photos):
    example = photos.examples("train")[0]
    maps = [
        next(segmenter_of("clipseg", saved_model("clipseg"), prompt=prompt).segment(photos, [example]))[1]
        for prompt in ("{}", "no {} at all")
    ]
    assert not torch.allclose(*maps)


def test_the_map_of_several_classes_is_their_maximum(saved_model):
    from dataclasses import replace

    segmenter, example = segmenter_of("clipseg", saved_model("clipseg")), drawings().examples("train")[0]
    one, other, both = (
        next(segmenter.segment(drawings(), [replace(example, labels=labels)]))[1] for labels in ((3,), (90,), (3, 90))
    )
    assert torch.allclose(both, torch.maximum(one, other), atol=1e-5) and not torch.allclose(one, other)


def test_default_prompts_and_thresholds(saved_model):
    clipseg, sam3 = (segmenter_of(name, saved_model(name)) for name in ("clipseg", "sam3"))
    assert (clipseg.threshold, sam3.threshold) == (0.4, 0.5)
    assert (clipseg.settings["prompt"], sam3.settings["prompt"]) == ("template", "{}")
    with pytest.raises(UserError, match="needs exactly one {}"):
        segmenter_of("clipseg", saved_model("clipseg"), prompt="a thing")


def test_unreadable_images_are_reported_with_the_maps(saved_model, tmp_path):
    photos = Folder(write_images(tmp_path / "photos", each=4))
    examples = photos.examples("train")
    for example in (examples[0], examples[2]):
        example.path.write_bytes(b"junk")
    for name in ("clipseg", "sam"):
        found = dict(segmenter_of(name, saved_model(name)).segment(photos, examples))
        assert {e for e, result in found.items() if isinstance(result, str)} == {examples[0], examples[2]}
        assert len(found) == len(examples)
        assert len(list(segmenter_of(name, saved_model(name)).segment(photos, examples[:1]))) == 1


def test_models_of_another_type_are_refused(saved_model, tmp_path):
    with pytest.raises(UserError, match="is a sam model; --with clipseg takes clipseg"):
        load_pretrained(CLIPSEG, str(saved_model("sam")))
    with pytest.raises(UserError, match="is a clipseg model; --with sam takes sam, sam2, sam2_video"):
        load_pretrained(SAM, str(saved_model("clipseg")))
    with pytest.raises(UserError, match="no model folder at .*; check --model"):
        load_pretrained(SAM, str(tmp_path / "nowhere" / "at" / "all"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no model_type|contains no model") as error:
        load_pretrained(SAM, str(tmp_path / "empty"))
    assert "\n" not in str(error.value)


def test_broken_and_incomplete_folders(saved_model, tmp_path):
    import shutil

    broken = shutil.copytree(saved_model("clipseg"), tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="contains no model for --with clipseg that can be loaded") as error:
        load_pretrained(CLIPSEG, str(broken))
    assert "\n" not in str(error.value)
    from safetensors.torch import load_file, save_file

    incomplete = shutil.copytree(saved_model("clipseg"), tmp_path / "incomplete")
    tensors = load_file(incomplete / "model.safetensors")
    tensors.pop("decoder.film_add.weight")
    save_file(tensors, incomplete / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="does not contain 1 of the model's tensors, such as decoder.film_add.weight"):
        load_pretrained(CLIPSEG, str(incomplete))


def test_an_unreachable_hub_is_reported(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="the model some/model is neither .*hf download some/model .*--model FOLDER"):
        load_pretrained(CLIPSEG, "some/model")


def test_missing_transformers_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r'pip install "cliptune\[masks\]"'):
        load_pretrained(CLIPSEG)


def test_an_older_transformers_is_reported(monkeypatch):
    from types import ModuleType

    old = ModuleType("transformers")
    old.__version__ = "4.46"
    monkeypatch.setitem(sys.modules, "transformers", old)
    with pytest.raises(UserError, match="transformers 4.46 has no Sam3Model"):
        load_pretrained(SAM3)


def test_the_verbosity_of_transformers_is_restored(saved_model):
    transformers.logging.set_verbosity_info()
    try:
        load_pretrained(CLIPSEG, str(saved_model("clipseg")))
        assert transformers.logging.get_verbosity() == transformers.logging.INFO
    finally:
        transformers.logging.set_verbosity_warning()
