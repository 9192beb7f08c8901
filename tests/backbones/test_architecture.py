"""The architecture of a weights file is recognised, guessed with a note, or asked for."""

import warnings

import open_clip
import pytest
import torch

import tiny_clips
from cliptune.backbones import architecture
from cliptune.backbones.load import backbone_from_state_dict, load_backbone
from cliptune.errors import UserError

VIT = {
    "embed_dim": 24,
    "text_cfg": {"width": 64, "heads": 1, "layers": 2},
    "vision_cfg": {"width": 128, "layers": 3, "patch_size": 8, "image_size": 32},
}
RESNET = {
    "embed_dim": 32,
    "text_cfg": {"width": 128, "heads": 2, "layers": 2},
    "vision_cfg": {"width": 16, "layers": (1, 2, 1, 1), "patch_size": None, "image_size": 64},
}
#: Like LAION's ViT-H-14 and ViT-bigG-14: heads of width 80 and 104, another MLP ratio.
WIDE = {
    "embed_dim": 32,
    "text_cfg": {"width": 64, "heads": 4, "layers": 2},
    "vision_cfg": {
        "width": 208,
        "head_width": 104,
        "mlp_ratio": 4.9231,
        "layers": 2,
        "patch_size": 8,
        "image_size": 32,
    },
}


def changed(config, **fields):
    """`config` with changed fields of its own or of its towers (`vision_layers=1`)."""
    made = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for name, value in fields.items():
        tower, _, rest = name.partition("_")
        (made[f"{tower}_cfg"] if rest else made)[rest or name] = value
    return made


@pytest.fixture
def known(monkeypatch):
    """A function that registers configurations with open_clip during a test."""

    def know(**configs):
        own = open_clip.factory._MODEL_CONFIGS
        monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**own, **configs})

    return know


def quietly(state, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return backbone_from_state_dict(state, "w.pt", **options)


@pytest.mark.parametrize("name", ["ViT-H-14", "ViT-g-14", "ViT-bigG-14", "RN50x4", "ViT-L-14-336", "ViT-B-16-plus-240"])
def test_published_shapes_are_known_with_their_heads(name):
    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        state = open_clip.CLIP(**config).state_dict()
    found = architecture.infer_architecture(state, "w.pt")
    assert found.name == name and not found.guessed
    assert found.config["text_cfg"]["heads"] == config["text_cfg"]["heads"]
    assert found.config["vision_cfg"].get("head_width") == config["vision_cfg"].get("head_width")


@pytest.mark.parametrize("config", [VIT, WIDE, RESNET])
@pytest.mark.parametrize("quick", [False, True])
def test_a_known_architecture_is_exact(known, config, quick):
    known(mine=config)
    model = tiny_clips.clip(config, quick)
    backbone = quietly(model.state_dict(), quick_gelu=quick)
    assert tiny_clips.agrees(backbone, model)


def test_another_image_size_of_a_known_architecture(known):
    known(mine=WIDE)
    model = tiny_clips.clip(changed(WIDE, vision_image_size=48, text_context_length=20))
    backbone = quietly(model.state_dict(), quick_gelu=False)
    assert backbone.preprocess.size == (48, 48) and backbone.context_length == 20 and tiny_clips.agrees(backbone, model)


def test_a_known_size_that_is_not_square(known):
    config = changed(WIDE, vision_image_size=(64, 16))
    known(mine=config)
    model = tiny_clips.clip(config)
    assert tiny_clips.agrees(quietly(model.state_dict(), quick_gelu=False), model)


@pytest.mark.parametrize("config", [VIT, RESNET, changed(VIT, vision_mlp_ratio=2.3, text_mlp_ratio=3.0)])
def test_an_unknown_architecture_is_assumed_to_be_like_openais(config):
    model = tiny_clips.clip(config)
    with pytest.warns(UserWarning, match="heads 64 wide, .* use --backbone ARCHITECTURE --pretrained w.pt"):
        backbone = backbone_from_state_dict(model.state_dict(), "w.pt", quick_gelu=False)
    assert tiny_clips.agrees(backbone, model)


def test_layer_scale_and_a_missing_first_norm_are_recognised():
    model = tiny_clips.clip(changed(VIT, vision_ls_init_value=0.1, text_ls_init_value=0.2, vision_no_ln_pre=True))
    with pytest.warns(UserWarning, match="heads 64 wide"):
        assert tiny_clips.agrees(backbone_from_state_dict(model.state_dict(), "w.pt", quick_gelu=False), model)


@pytest.mark.parametrize(
    "config",
    [
        changed(VIT, vision_width=160, vision_head_width=80),
        changed(VIT, vision_image_size=(64, 32)),
        changed(VIT, text_vocab_size=5000),
        changed(VIT, vision_attentional_pool=True),
        changed(VIT, vision_qk_norm=True),
    ],
)
def test_an_ambiguous_architecture_is_asked_for(config):
    state = tiny_clips.clip(config).state_dict()
    with pytest.raises(UserError, match="fits no architecture .*: --backbone ARCHITECTURE --pretrained w.pt, or use"):
        backbone_from_state_dict(state, "w.pt")


def test_several_matching_architectures_are_asked_for(known):
    known(one=VIT, two=changed(VIT, text_heads=2))
    state = tiny_clips.clip(VIT).state_dict()
    with pytest.raises(UserError, match="fits several architectures, .*: one, two; .*: --backbone one"):
        backbone_from_state_dict(state, "w.pt")
    known(one=VIT, two={**VIT, "quick_gelu": True})
    assert tiny_clips.agrees(quietly(state, quick_gelu=False), tiny_clips.clip(VIT))


def test_an_assumed_activation_is_reported(known, tmp_path):
    known(mine=VIT, quick={**VIT, "quick_gelu": True})
    model, quick = tiny_clips.clip(VIT), tiny_clips.clip(VIT, True)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    for args in ((str(tmp_path / "w.pt"),), ("mine", str(tmp_path / "w.pt"))):
        with pytest.warns(UserWarning, match="activation; using GELU.* --activation quick_gelu$"):
            assert tiny_clips.agrees(load_backbone(*args), model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tiny_clips.agrees(load_backbone("mine", str(tmp_path / "w.pt"), quick_gelu=True), quick)
        assert tiny_clips.agrees(load_backbone("mine", str(tmp_path / "w.pt"), quick_gelu=False), model)
        assert tiny_clips.agrees(load_backbone("quick", str(tmp_path / "w.pt")), quick), "set by its configuration"
        assert tiny_clips.agrees(load_backbone("quick", str(tmp_path / "w.pt"), quick_gelu=False), model)
        torch.save({**model.state_dict(), "input_resolution": torch.tensor(32)}, tmp_path / "w.pt")
        assert tiny_clips.agrees(load_backbone("mine", str(tmp_path / "w.pt")), quick), "recognised as OpenAI's file"


def test_published_weights_without_quickgelu_give_no_note():
    assert (
        architecture.named_architecture("ViT-g-14").activation_is_known
        and architecture.named_architecture("ViT-B-16-quickgelu").activation_is_known
    )
    assert (
        not architecture.named_architecture("ViT-B-16").activation_is_known
        and not architecture.named_architecture("ViT-H-14").activation_is_known
    )
