"""Images larger than the model's input are measured at its size, on the evaluation view."""

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

import cliptune as ct
from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import evaluation_view
from cliptune.report.collect import reliance
from cliptune.report.collect.reliance import RelianceOptions, measure_reliance


@pytest.fixture(scope="module")
def large(tmp_path_factory, cutouts):
    """The cutouts at five times their size, not square, and a run on them."""
    root = tmp_path_factory.mktemp("large")
    for path in sorted(cutouts.rglob("*.png")):
        place = root / "photos" / path.relative_to(cutouts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.resize((427, 320)).save(place)
    ct.train("coop", data=f"folder:{root / 'photos'}", shots=2, epochs=1, n_ctx=2, out=root / "run")
    return root


@pytest.mark.parametrize("masks", ["data", "gradcam"])
def test_large_images_are_measured_at_the_size_of_the_model(large, monkeypatch, masks):
    seen, done = [], []
    real = reliance.compute_reliance

    def spied(images, classes, logits, saliency, **options):
        seen.extend(images(i) for i in range(len(classes)))
        return real(images, classes, logits, saliency, **options)

    monkeypatch.setattr(reliance, "compute_reliance", spied)
    measured, _ = measure_reliance(
        large / "run", RelianceOptions(images=4, masks=masks), tick=lambda *notes: done.append(notes)
    )
    assert len(seen) == measured.reliance.pictures > 1
    assert all(p.image.shape == (3, 64, 85) and p.mask.shape == (1, 64, 85) for p in seen)
    assert {what for what, *_ in done} == {"masks", "backgrounds"}
    assert {last[1:] for what in ("masks", "backgrounds") for last in [[d for d in done if d[0] == what][-1]]} == {
        (4, 4), (len(seen), len(seen)),
    }  # fmt: skip


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_original_equals_the_evaluation_view(large, interpolation):
    preprocess = Preprocess((64, 64), interpolation=interpolation)
    dataset = reliance.sources.get(f"folder:{large / 'photos'}")
    examples = reliance.ExampleSet(dataset, dataset.evaluation_examples(), preprocess, shrink=True)
    for i, example in enumerate(examples.examples[:3]):
        whole = evaluation_view(to_pil_image(dataset.read(example).image), preprocess)
        assert torch.equal(evaluation_view(to_pil_image(examples.image(i).image), preprocess), whole)
