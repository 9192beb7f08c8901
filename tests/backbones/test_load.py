"""Names, folders and weight files become backbones; what is not available is refused in a sentence."""

import json
import warnings

import open_clip
import pytest
import torch
from safetensors.torch import save_file

import tiny_clips
from cliptune.backbones import build as module
from cliptune.backbones.load import backbone_from_state_dict, load_backbone
from cliptune.backbones.preprocess import Preprocess
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError

#: Heads of width 64, as assumed for OpenAI's models.
VIT = {
    "embed_dim": 24,
    "text_cfg": {"width": 64, "heads": 1, "layers": 2},
    "vision_cfg": {"width": 128, "layers": 3, "patch_size": 8, "image_size": 32},
}


@pytest.fixture(scope="module")
def vit():
    return tiny_clips.clip(VIT)


@pytest.fixture
def known(monkeypatch):
    """VIT under a name."""
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS, "mine": VIT})


def test_a_file_alone(tmp_path, vit, known):
    save_file(vit.state_dict(), tmp_path / "w.safetensors")
    backbone = load_backbone(str(tmp_path / "w.safetensors"), quick_gelu=False)
    assert (backbone.text_width, backbone.text_depth, backbone.image_width, backbone.image_depth) == (64, 2, 128, 3)
    assert (backbone.image_size, backbone.patch_grid, backbone.context_length) == (32, (4, 4), 77)
    assert backbone.name == str(tmp_path / "w.safetensors") and tiny_clips.agrees(backbone, vit)


def test_half_precision_weights_are_converted_to_single(vit, known):
    half = {k: v.half() for k, v in vit.state_dict().items()}
    backbone = backbone_from_state_dict(half, "half", quick_gelu=False)
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}
    exact = {k: v.float() for k, v in half.items()}
    assert all(torch.equal(v, exact[k]) for k, v in backbone.model.state_dict().items())


def test_all_parameters_are_frozen(vit, known):
    backbone = backbone_from_state_dict(vit.state_dict(), "x", quick_gelu=False).train()
    assert not backbone.training and not backbone.model.training
    assert not any(p.requires_grad for p in backbone.parameters())


def folder(path, state, config=VIT, **preprocess):
    path.mkdir(exist_ok=True)
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    if state is not None:
        torch.save(state, path / "open_clip_pytorch_model.bin")
    return str(path)


def test_a_folder_with_a_configuration(tmp_path, vit):
    wrapped = {"state_dict": {f"module.{k}": v for k, v in vit.state_dict().items()}}
    config = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2], "resize_mode": "squash", "interpolation": "bilinear"}
    backbone = load_backbone(folder(tmp_path, wrapped, **config))
    assert backbone.preprocess == Preprocess((32, 32), "squash", "bilinear", 0, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert tiny_clips.agrees(backbone, vit) and backbone.name == f"local-dir:{tmp_path}"
    assert tiny_clips.agrees(load_backbone(str(tmp_path), quick_gelu=True), tiny_clips.clip(VIT, True))


def test_a_folder_of_a_model_that_is_not_square(tmp_path):
    config = {**VIT, "vision_cfg": {**VIT["vision_cfg"], "image_size": [64, 32]}, "quick_gelu": True}
    model = tiny_clips.clip({k: v for k, v in config.items() if k != "quick_gelu"}, True)
    backbone = load_backbone(folder(tmp_path, model.state_dict(), config))
    assert backbone.image_size == (64, 32) and backbone.patch_grid == (8, 4) and tiny_clips.agrees(backbone, model)


@pytest.mark.parametrize(
    "make, reason",
    [
        (
            lambda path, vit: str(path),
            "has no open_clip_config.json, .*; it contains no weights file",
        ),
        (lambda path, vit: folder(path, None), "has open_clip_config.json but no weights"),
        (lambda path, vit: folder(path, vit, {"text_cfg": {}}), "no embed_dim, vision_cfg in its model_cfg"),
        (
            lambda path, vit: folder(path, vit, {**VIT, "colour": 1}),
            "open_clip cannot build a model",
        ),
        (lambda path, vit: folder(path, vit, VIT, resize_mode="stretch"), "resize_mode='stretch'"),
        (lambda path, vit: folder(path, vit, {**VIT, "embed_dim": 16}), r"is \(64, 24\), not \(64, 16\)"),
    ],
)
def test_other_folders_are_refused(tmp_path, vit, make, reason):
    with pytest.raises(UserError, match=reason):
        load_backbone(make(tmp_path, vit.state_dict()))


def test_an_architecture_takes_weights_from_a_file(tmp_path, vit, known):
    file = tmp_path / "w.pt"
    torch.save({"model": {f"clip_model.{k}": v for k, v in vit.state_dict().items()}}, file)
    backbone = load_backbone("mine", str(file), quick_gelu=False)
    assert tiny_clips.agrees(backbone, vit)
    assert backbone.name == f"mine/{file}" and isinstance(backbone.tokenizer, ClipTokenizer)
    file.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"w\.pt cannot be read as weights|w\.pt is not a plain tensor file"):
        load_backbone("mine", str(file))


def test_weights_that_do_not_fit_are_named(tmp_path, vit, known):
    def refused(state, reason):
        torch.save(state, tmp_path / "w.pt")
        with pytest.raises(UserError, match=reason):
            load_backbone("mine", str(tmp_path / "w.pt"), quick_gelu=False)

    state = dict(vit.state_dict())
    refused({k: v for k, v in state.items() if k != "ln_final.bias"}, "does not fit mine: ln_final.bias is missing$")
    refused({k: v for k, v in state.items() if "visual.ln" not in k}, r"visual.ln_pre.weight is missing \(and 3 more\)")
    refused({**state, "visual.extra": torch.zeros(1)}, "visual.extra is unexpected$")
    refused({**state, "visual.proj": torch.zeros(128, 8)}, r"visual.proj is \(128, 8\), not \(128, 24\)")


def test_positional_embeddings_are_interpolated_with_a_note(tmp_path, known):
    large = tiny_clips.clip({**VIT, "vision_cfg": {**VIT["vision_cfg"], "image_size": 48}})
    torch.save(large.state_dict(), tmp_path / "w.pt")
    with pytest.warns(UserWarning, match="has 37 positions in visual.*, mine has 17: .*interpolated"):
        backbone = load_backbone("mine", str(tmp_path / "w.pt"), quick_gelu=False)
    reference = open_clip.CLIP(**VIT).eval()
    open_clip.load_checkpoint(reference, str(tmp_path / "w.pt"))
    assert tiny_clips.agrees(backbone, reference)


def test_random_weights_need_a_request_and_are_reproducible(known):
    def made():
        with pytest.warns(UserWarning, match="^mine has random weights .*seed 0"):
            return load_backbone("mine", "random")

    one, _, other = made(), torch.rand(3), made()
    assert one.name == "mine/random" and one.fingerprints.backbone == other.fingerprints.backbone
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made()
    assert torch.equal(before, torch.get_rng_state()), "the caller's random numbers are left alone"
    with pytest.raises(UserError, match="backbone mine needs weights: .* random for untrained"):
        load_backbone("mine")


@pytest.mark.parametrize("tag, quick", [("openai", True), ("laion2b_s34b_b79k", None)])
def test_a_tag_determines_the_activation(monkeypatch, tag, quick):
    asked = []

    def create(*arguments, **options):
        asked.append(options.get("quick_gelu"))
        return tiny_clips.clip(VIT)

    monkeypatch.setattr(module.open_clip, "create_model", create)
    load_backbone("ViT-B-32", tag)
    load_backbone("ViT-B-32", tag, quick_gelu=False)
    assert asked == [quick, False]


#: Tags with other preprocessing than OpenAI's, and one with the same.
TAGS = [
    ("ViT-B-16", "openai", "shortest", "bicubic", 0.48145466),
    ("ViT-H-14-quickgelu", "dfn5b", "squash", "bicubic", 0.48145466),
    ("PE-Core-B-16", "meta", "squash", "bilinear", 0.5),
    ("MobileCLIP-B", "datacompdr", "shortest", "bilinear", 0.0),
    ("ViT-L-14", "laion2b_s32b_b82k", "shortest", "bicubic", 0.5),
]


@pytest.mark.parametrize("name, tag, mode, interpolation, mean", TAGS)
def test_a_tag_determines_the_preprocessing(monkeypatch, name, tag, mode, interpolation, mean):
    """Without its weights: the model stays at its initial values, everything else is open_clip's code."""
    factory = open_clip.factory
    monkeypatch.setattr(factory, "download_pretrained", lambda *_, **__: "w.pt")
    monkeypatch.setattr(factory, "load_checkpoint", lambda *_, **__: None)
    config = open_clip.get_model_config(name)
    little = {"embed_dim": 24, "text_cfg": dict(VIT["text_cfg"]), "vision_cfg": dict(VIT["vision_cfg"])}
    little["text_cfg"]["context_length"] = config["text_cfg"].get("context_length", 77)
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", {**factory._MODEL_CONFIGS, name: little})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of QuickGELU, which the little configuration does not have
        preprocess = load_backbone(name, tag).preprocess
    assert preprocess.size == (32, 32) and preprocess.mean[0] == mean
    assert (preprocess.resize_mode, preprocess.interpolation) == (mode, interpolation)


def test_a_file_has_the_preprocessing_of_the_published_weights(tmp_path, monkeypatch, vit):
    torch.save(vit.state_dict(), tmp_path / "w.pt")
    own = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**own, "PE-Core-B-16": VIT, "ViT-H-14": VIT})
    with pytest.warns(UserWarning, match="using that of PE-Core-B-16's published weights: squash, bilinear, mean"):
        assert (
            load_backbone("PE-Core-B-16", str(tmp_path / "w.pt"), quick_gelu=False).preprocess.resize_mode == "squash"
        )
    with pytest.warns(UserWarning, match="using that of most of ViT-H-14's published weights: shortest, bicubic"):
        assert load_backbone("ViT-H-14", str(tmp_path / "w.pt"), quick_gelu=False).preprocess.resize_mode == "shortest"


def test_errors_of_open_clip_are_reported(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no network\nand more lines")

    monkeypatch.setattr(module.open_clip, "create_model", fail)
    with pytest.raises(UserError, match=r"^backbone ViT-B-32 openai could not be loaded: no network$"):
        load_backbone("ViT-B-32", "openai")


def test_the_bundled_backbone_has_a_fixed_activation():
    with pytest.raises(UserError, match="activation of the bundled tiny backbone is fixed"):
        load_backbone("tiny", quick_gelu=True)
