"""CLIP models of transformers give the features of transformers."""

import json

import pytest
import torch

from cliptune.backbones.load import load_backbone
from cliptune.errors import UserError
from tiny_clips import normal

transformers = pytest.importorskip("transformers")

TEXTS = ["a photo of a cat.", "dog"]
RATIO = {"mlp_ratio": 2.084}


def clip(act="quick_gelu", eps=1e-5):
    shared = {"hidden_act": act, "layer_norm_eps": eps, "initializer_range": 0.2}
    config = transformers.CLIPConfig(
        text_config={"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "projection_dim": 24, **shared},
        vision_config={"hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 3, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8, "projection_dim": 24, **shared},
        projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "logit_scale":
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def saved(model, folder, **images):
    model.save_pretrained(folder)
    processor = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True,
                 "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], **images}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


def agrees(backbone, model):
    """Assert that features equal those of transformers for the same tokens and pixels."""
    images, rows = normal(2, 3, 32, 32), [backbone.prompt_tokenizer(text) for text in TEXTS]
    ids = torch.tensor([row + [49407] * (77 - len(row)) for row in rows])
    with torch.no_grad():
        text = model.text_projection(
            model.text_model(input_ids=ids).last_hidden_state[[0, 1], [len(r) - 1 for r in rows]]
        )
        image = model.visual_projection(model.vision_model(pixel_values=images).pooler_output)
        torch.testing.assert_close(backbone.encode_text(backbone.tokenize(TEXTS)), text, rtol=0, atol=1e-4)
        torch.testing.assert_close(backbone.encode_image(images), image, rtol=0, atol=1e-4)
    assert backbone.logit_scale == model.logit_scale.exp()
    return True


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_a_folder_is_sufficient(tmp_path, act, eps):
    model = clip(act, eps)
    backbone = load_backbone(saved(model, tmp_path))
    assert agrees(backbone, model)
    assert (backbone.preprocess.size, backbone.preprocess.mean) == ((32, 32), (0.5, 0.4, 0.3))


def test_a_squashing_processor(tmp_path):
    folder = saved(clip(), tmp_path, size={"height": 32, "width": 32}, do_center_crop=False, resample=2)
    preprocess = load_backbone(folder).preprocess
    assert (preprocess.resize_mode, preprocess.interpolation) == ("squash", "bilinear")


def test_a_file_alone_needs_the_number_of_heads(tmp_path):
    torch.save(clip().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match="fits no architecture"):
        load_backbone(str(tmp_path / "w.pt"))


def test_a_file_and_an_architecture(tmp_path, monkeypatch):
    import open_clip

    config = {
        "embed_dim": 24,
        "quick_gelu": True,
        "text_cfg": {"width": 64, "heads": 4, "layers": 2, "mlp_ratio": 2.5},
        "vision_cfg": {
            "width": 96,
            "head_width": 48,
            "layers": 3,
            "patch_size": 8,
            "image_size": 32,
            "mlp_ratio": 2.084,
        },
    }
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"mine": config})
    model = clip()
    torch.save({"model": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "w.pt")
    assert agrees(load_backbone("mine", str(tmp_path / "w.pt")), model) and agrees(
        load_backbone(str(tmp_path / "w.pt")), model
    )


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"size": {"shortest_edge": 40}}, "a preprocessing that open_clip does not support"),
        ({"resample": 1}, "a preprocessing that open_clip does not support"),
        ({"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}, "has another image size"),
    ],
)
def test_other_preprocessing_is_refused(tmp_path, change, reason):
    with pytest.raises(UserError, match=reason):
        load_backbone(saved(clip(), tmp_path, **change))


def test_other_activations_and_models_are_refused(tmp_path):
    folder = saved(clip(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["hidden_act"] = "gelu_new"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="hidden_act=gelu_new, quick_gelu; supported: gelu or quick_gelu"):
        load_backbone(folder)
    torch.save({"text_model.x": torch.zeros(2), "vision_model.head.attention": torch.zeros(2)}, tmp_path / "s.pt")
    with pytest.raises(UserError, match="a transformers model other than CLIPModel"):
        load_backbone(str(tmp_path / "s.pt"))
