"""The Python interface, on a folder of images with the bundled backbone."""

import warnings

import pytest
import torch
from PIL import Image

import cliptune as ct
from cliptune.data.image_io import read_image
from cliptune.data.transforms import standardise
from cliptune.engine.watchers import Watcher
from cliptune.methods.coop import CoOp
from tiny_tasks import write_images

CLASSES = ("cat", "horse", "pig")


@pytest.fixture(scope="module")
def run(photos):
    """MaPLe with DAPT after one epoch."""
    masks = photos.parent / "masks"
    return ct.train("maple+dapt", data=f"folder:{photos}", shots=4, epochs=1, masks_from=f"folder:{masks}")


@pytest.fixture(scope="module")
def text_only(photos):
    return ct.train(CoOp(n_ctx=2), data=f"folder:{photos}", shots=4, epochs=1)


def image_paths(photos, name="cat"):
    return sorted((photos / name).iterdir())


def test_evaluate_returns_accuracies(run):
    metrics = run.evaluate()
    assert set(metrics) == {"test"} and 0 <= metrics["test"] <= 100
    metrics["test"] = -1
    assert run.evaluate()["test"] >= 0, "the record is not to be changed through it"


def test_predict_an_image_and_several(run, photos):
    name, probability = run.predict(photos / "cat" / "0.png")
    assert name in CLASSES and 1 / 3 <= probability <= 1
    assert run.predict(str(photos / "cat" / "0.png")) == (name, probability)
    many = [*image_paths(photos, "pig"), *image_paths(photos)]
    several = run.predict(many)
    assert [answer for answer, _ in several] == [CLASSES[i] for i in run.logits(many).argmax(1)]
    assert [share for _, share in several] == pytest.approx([run.predict(p)[1] for p in many], abs=1e-4)
    assert run.predict([photos / "cat" / "0.png"])[0][0] == name


def test_predict_returns_the_top_k(run, photos):
    best = run.predict(photos / "cat" / "0.png", top_k=3)
    assert {name for name, _ in best} == set(CLASSES)
    shares = [p for _, p in best]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    assert run.predict(photos / "cat" / "0.png", top_k=9) == best
    many = [*image_paths(photos, "pig"), *image_paths(photos)]
    orders = [[CLASSES[i] for i in row] for row in run.logits(many).argsort(1, descending=True)]
    assert orders != orders[::-1]
    assert [[name for name, _ in row] for row in run.predict(many, top_k=2)] == [order[:2] for order in orders]


def test_images_may_be_open_and_rotated_by_exif(run, photos, tmp_path):
    path = photos / "cat" / "0.png"
    with Image.open(path) as image:
        assert run.predict(image) == run.predict(path)
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert("RGB").save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert torch.equal(run.logits(image), run.logits(tmp_path / "turned.png"))
    assert not torch.equal(run.logits(tmp_path / "turned.png"), run.logits(path))


def test_probabilities_are_a_softmax_of_the_logits(run, photos):
    logits = run.logits(photos / "cat" / "0.png")
    assert logits.shape == (1, 3) and not logits.requires_grad
    name, probability = run.predict(photos / "cat" / "0.png")
    assert probability == pytest.approx(logits.softmax(-1).max().item())
    assert name == CLASSES[int(logits.argmax())]


def test_class_features_are_the_classifier_weights(text_only, photos):
    features = text_only.text_features()
    assert features.shape[0] == 3 and torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)
    backbone = text_only.model.backbone
    pixels = standardise(
        read_image(photos / "cat" / "0.png").image[None], backbone.preprocess.mean, backbone.preprocess.std
    )
    with torch.no_grad():
        image = torch.nn.functional.normalize(backbone.encode_image(pixels), dim=-1)
    assert torch.allclose(
        backbone.logit_scale * image @ features.T, text_only.logits(photos / "cat" / "0.png"), atol=1e-3
    )


def test_other_classes_without_training(run, photos):
    other = run.with_classes(["mouse", "horse"])
    assert other.classnames == ("mouse", "horse") and run.classnames == CLASSES
    assert other.predict(photos / "horse" / "0.png")[0] in ("mouse", "horse")
    three, two = run.logits(photos / "cat" / "0.png"), other.logits(photos / "cat" / "0.png")
    assert two[0, 1].item() == pytest.approx(three[0, 1].item(), abs=1e-3)
    with pytest.raises(ct.UserError, match="classification needs at least two class names"):
        run.with_classes(["horse"])
    with pytest.raises(ct.UserError, match="the classes are not those the run was trained on"):
        other.evaluate()


def test_evaluate_on_another_folder(run, tmp_path):
    write_images(tmp_path / "others", classes=("mouse", "bear"), each=6)
    metrics = run.evaluate(f"folder:{tmp_path / 'others'}")
    assert set(metrics) == {"test"}
    assert run.classnames == CLASSES, "its own classes stay"


@pytest.mark.parametrize("place", ["folder", "file.safetensors"])
def test_save_and_load(run, photos, tmp_path, place):
    path = run.save(tmp_path / place)
    assert path.name == ("checkpoint.safetensors" if place == "folder" else place)
    assert path.stat().st_size < 1 << 20
    again = ct.load(tmp_path / place)
    assert again.classnames == CLASSES and again.run == run.run and again.result is None
    assert torch.equal(again.logits(image_paths(photos)), run.logits(image_paths(photos)))
    assert again.evaluate() == run.evaluate()


def test_a_folder_for_the_run(photos, tmp_path):
    data = {"data": f"folder:{photos}", "shots": 4, "epochs": 1}
    run = ct.train("coop", **data, out=tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "config.yaml",
        "inputs.json",
        "result.json",
    }
    assert ct.load(str(tmp_path / "run")).evaluate() == run.evaluate()
    with pytest.raises(ct.UserError, match="another configuration"):
        ct.train("coop", **{**data, "shots": 2}, out=tmp_path / "run")


def test_nothing_is_written_without_an_output_folder(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ct.train("zeroshot", data=f"folder:{photos}", shots=1).predict(photos / "cat" / "0.png")
    assert list(tmp_path.iterdir()) == []


def test_options_and_seed_determine_the_run(photos):
    rows = []

    class Rows(Watcher):
        def epoch(self, row):
            rows.append(row)

    data = {"data": f"folder:{photos}", "shots": 2, "epochs": 2, "batch_size": 3}
    runs = [ct.train("coop", **data, n_ctx=3, words="", seed=seed, watchers=[Rows()]) for seed in (5, 5, 6)]
    assert runs[0].run.method == CoOp(n_ctx=3) and runs[0].run.training.batch_size == 3
    assert rows[:2] == rows[2:4] != rows[4:] and len(rows) == 6
    assert runs[0].result is not None and list(runs[0].result.history) == rows[:2]


def test_base_to_novel(tmp_path):
    root = write_images(tmp_path / "four", classes=("cat", "horse", "pig", "mouse"), each=6)
    run = ct.train("coop", data=f"folder:{root}", shots=2, epochs=1, protocol="base-to-novel")
    assert run.classnames == ("cat", "horse") and set(run.evaluate()) == {"base", "novel"}
    run.save(tmp_path / "saved")
    assert ct.load(tmp_path / "saved").evaluate() == run.evaluate()


def test_transparency_is_used_as_mask_by_default(cutouts, photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
        run = ct.train("maple+dapt", data=f"folder:{cutouts}", shots=2, epochs=1)
    assert run.result is not None and "pull_push" in run.result.history[0]
    with pytest.warns(UserWarning, match="the images have no masks of their own: foregrounds come from Grad-CAM"):
        with pytest.warns(UserWarning, match="cached_views=1 is ignored, as masks change"):
            ct.train("coop+dapt", data=f"folder:{photos}", shots=2, epochs=1)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"method": "mapel"}, "unknown method 'mapel'; nearest: maple"),
        ({"data": "photos"}, "unknown dataset 'photos'"),
        ({"backbone": "ViT-B-61"}, "unknown backbone 'ViT-B-61'; nearest: .*ViT-B-16"),
        ({"protocol": "fewshot"}, "unknown protocol 'fewshot'; nearest: few_shot"),
        ({"n_cxt": 4}, "unknown option 'n_cxt'; nearest: n_ctx"),
        ({"precision": 16}, "precision=16 does not fit RunConfig; it takes one of '32', 'bf16', '16'"),
        ({"shots": 2, "seed": -1}, "seed must be from 0"),
    ],
)
def test_invalid_arguments(photos, arguments, reason):
    with pytest.raises(ct.UserError, match=reason):
        ct.train(**{"method": "coop", "data": f"folder:{photos}", "shots": 1, **arguments})


def test_invalid_images(run, tmp_path, photos):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ct.UserError, match=r"image .*broken\.png cannot be read"):
        run.predict(tmp_path / "broken.png")
    with pytest.raises(ct.UserError, match=r"no image at .*none\.png; check the path"):
        run.predict([photos / "cat" / "0.png", tmp_path / "none.png"])
    with pytest.raises(ct.UserError, match="no images given"):
        run.predict([])
    with pytest.raises(ct.UserError, match="top_k must be at least 1, got 0"):
        run.predict(photos / "cat" / "0.png", top_k=0)
    with pytest.raises(ct.UserError, match="no checkpoint at"):
        ct.load(tmp_path / "nowhere")


def test_the_package_lists_its_public_names():
    assert set(ct.__all__) <= set(dir(ct)) and ct.load_backbone("tiny").name == "tiny"
    with pytest.raises(AttributeError, match="module 'cliptune' has no attribute 'trian'; it has .*train"):
        ct.trian  # noqa: B018
