"""Custom backbones in every command: non-square images, squeezed or padded; weight files; refusals."""

import json
import warnings
from functools import partial

import open_clip
import pytest
import torch
from PIL import Image

import cliptune as ct
import tiny_clips
from tiny_tasks import BRIEFLY

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]
CONFIG = {
    "embed_dim": 24,
    "text_cfg": {"width": 64, "heads": 4, "layers": 2},
    "vision_cfg": {"width": 96, "head_width": 48, "layers": 3, "patch_size": 8, "image_size": [48, 32]},
}


def saved(folder, **preprocess):
    folder.mkdir(parents=True)
    config = {"mean": MEAN, "std": STD, **preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": config}))
    torch.save({"state_dict": tiny_clips.clip(CONFIG).state_dict()}, folder / "open_clip_pytorch_model.bin")
    return str(folder)


@pytest.mark.parametrize(
    "mode, interpolation", [("squash", "bilinear"), ("longest", "bicubic"), ("shortest", "bicubic")]
)
def test_zero_shot_equals_open_clips_pipeline(tmp_path, photos, mode, interpolation):
    folder = saved(tmp_path / "m", resize_mode=mode, interpolation=interpolation, fill_color=90)
    run = ct.train("zeroshot", data=f"folder:{photos}", backbone=folder, shots=1)
    files = sorted(photos.glob("*/*.png"))
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.no_grad():
        image = model.encode_image(
            torch.stack([preprocess(Image.open(f).convert("RGB")) for f in files]), normalize=True
        )
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")([f"a photo of a {name}." for name in run.classnames])
        expected = model.logit_scale.exp() * image @ model.encode_text(tokens, normalize=True).T
    assert (run.logits([str(f) for f in files]) - expected).abs().max() < 1e-3


def test_every_command_accepts_a_backbone_with_non_square_images(cli, tmp_path, photos):
    folder, run = saved(tmp_path / "m", resize_mode="squash", interpolation="bilinear"), tmp_path / "run"
    image = photos / "cat" / "0.png"
    train = ("train", "maple+dapt", "--data", f"folder:{photos}", "--backbone", folder, *BRIEFLY, "--out", run)
    for line in (
        (*train, "--masks-from", "gradcam", "--batch-size", 2, "--depth", 2),
        ("evaluate", run),
        ("predict", run, image),
        ("background", run, "--masks-from", f"folder:{photos.parent / 'masks'}"),
        ("report", run),
        ("masks", "check", "gradcam", "--data", f"folder:{photos}", "--run", run, "--shots", 1),
        ("data", "show", f"folder:{photos}", "--masks-from", "maskclip", "--run", run, "--out", tmp_path / "shown.png"),
    ):
        result = cli(*line)
        assert result.code == 0, (line, result.err)
    ours = ct.load(run).logits(str(image))
    assert cli("evaluate", run, "--data", f"folder:{photos}").code == 0 and torch.isfinite(ours).all()


@pytest.mark.parametrize(
    "flags, reason",
    [
        (("--backbone", "ViT-B-32"), "backbone ViT-B-32 needs weights: add --pretrained with one of openai, "),
        (("--backbone", "ViT-B/32"), "backbone ViT-B-32 needs weights"),
        (("--pretrained", "openai"), "the bundled tiny backbone includes its weights: use --backbone ViT-B-16"),
        (("--backbone", "org/model", "--pretrained", "openai"), "the hub org/model includes its weights"),
        (("--activation", "gelu"), "the activation of the bundled tiny backbone is fixed"),
    ],
)
def test_backbones_without_weights_and_weights_without_a_backbone(cli, tmp_path, photos, flags, reason):
    for command in (("train", "zeroshot", "--data", f"folder:{photos}"), ("run", "few-shot", "--methods", "zeroshot")):
        if command[0] == "run" and "--activation" in flags:
            continue  # a flag of each run, checked when the run starts
        result = cli(*command, *flags, "--out", tmp_path / "out")
        assert result.code == 2 and reason in result.err and not (tmp_path / "out").exists(), (command, result.err)


def test_the_activation_is_recorded_and_restored(cli, tmp_path, photos):
    config = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "image_size": 32, "head_width": 64, "width": 128}}
    config["text_cfg"] = {**config["text_cfg"], "heads": 1}
    torch.save(tiny_clips.clip(config, True).state_dict(), tmp_path / "w.pt")
    train = ("train", "zeroshot", "--data", f"folder:{photos}", "--backbone", tmp_path / "w.pt", *BRIEFLY)
    result = cli(*train, "--out", tmp_path / "plain")
    assert "does not contain its activation; using GELU" in result.err
    assert "\nactivation" not in (tmp_path / "plain" / "config.yaml").read_text()
    result = cli(*train, "--activation", "quick_gelu", "--out", tmp_path / "quick")
    assert result.code == 0 and "does not contain its activation" not in result.err
    quick, plain = (ct.load(tmp_path / name) for name in ("quick", "plain"))
    assert (quick.run.activation, plain.run.activation) == ("quick_gelu", "auto")
    assert quick.model.backbone.fingerprints.backbone != plain.model.backbone.fingerprints.backbone


def test_the_bundled_backbone_warns_on_images_other_than_its_drawings(tmp_path, photos, capsys):
    """Once per call, before training, and not on the bundled drawings."""
    note, image = (
        "the bundled tiny backbone knows drawings only: its accuracy on photographs",
        photos / "cat" / "0.png",
    )

    def notes(call):
        with warnings.catch_warnings(record=True) as error:
            warnings.simplefilter("default")
            call()
        return sum(str(warning.message).startswith(note) for warning in error)

    train = partial(ct.train, "zeroshot", shots=1)
    assert notes(lambda: train(f"folder:{photos}", out=tmp_path / "run")) == 1
    run = ct.load(tmp_path / "run")
    assert notes(run.evaluate) == notes(lambda: run.predict([str(image)] * 3)) == 1
    assert notes(lambda: run.evaluate(f"folder:{photos}")) == 1
    assert notes(lambda: train("emoji:test_per_class=1")) == 0
