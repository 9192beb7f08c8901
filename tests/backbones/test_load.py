"""Names, folders and weight files become backbones; what cannot be had is told."""

import json
import warnings

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from cliptune.backbones import load as module
from cliptune.backbones.load import from_state_dict, load, names, read_weights, tags
from cliptune.backbones.preprocess import Preprocess
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError
from small import normal

#: Heads are 64 wide in OpenAI's naming, and nothing else says so.
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


def made(config, quick_gelu=False):
    torch.manual_seed(0)
    return open_clip.model.CLIP(**config, quick_gelu=quick_gelu).eval()


@pytest.fixture(scope="module")
def vit():
    return made(VIT)


def agrees(backbone, model):
    """The same features as open_clip's own model."""
    images = normal(2, 3, backbone.image_size, backbone.image_size)
    sentences = backbone.plain(("a photo of a cat.", "dog"))
    tokens = torch.zeros(2, backbone.context_length, dtype=torch.long)
    tokens[:, : sentences.ids.shape[1]] = sentences.ids
    with torch.no_grad():
        torch.testing.assert_close(backbone.encode_image(images), model.encode_image(images), rtol=0, atol=1e-4)
        torch.testing.assert_close(backbone.encode_text(sentences), model.encode_text(tokens), rtol=0, atol=1e-4)
    return True


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_a_weights_file_says_its_own_architecture(tmp_path, vit, suffix):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(vit.state_dict(), path)
    backbone = load(str(path))
    assert (backbone.text_width, backbone.text_depth, backbone.image_width, backbone.image_depth) == (64, 2, 128, 3)
    assert (backbone.image_size, backbone.patch_grid, backbone.context_length) == (32, (4, 4), 77)
    assert backbone.name == str(path) and agrees(backbone, vit)


@pytest.mark.parametrize("quick", [False, True])
def test_a_resnet_and_either_activation(quick):
    model = made(RESNET, quick)
    backbone = from_state_dict(model.state_dict(), "rn", quick_gelu=quick)
    assert not backbone.has_vit and backbone.image_size == 64 and agrees(backbone, model)


def test_openais_own_files_use_their_activation(vit):
    extra = {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    quick = made(VIT, quick_gelu=True)
    assert agrees(from_state_dict({**vit.state_dict(), **extra}, "openai"), quick)
    assert agrees(from_state_dict(vit.state_dict(), "other"), vit)


def test_half_precision_weights_are_computed_in_single(vit):
    half = {k: v.half() for k, v in vit.state_dict().items()}
    backbone = from_state_dict(half, "half")
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}
    exact = {k: v.float() for k, v in half.items()}
    assert all(torch.equal(v, exact[k]) for k, v in backbone.model.state_dict().items())


def test_nothing_of_it_trains(vit):
    backbone = from_state_dict(vit.state_dict(), "x").train()
    assert not backbone.training and not backbone.model.training
    assert not any(p.requires_grad for p in backbone.parameters())


def test_a_torchscript_archive(tmp_path, vit):
    class Empty(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    root = Empty()
    for name, tensor in vit.state_dict().items():
        *folders, last = name.split(".")
        at = root
        for folder in folders:
            if not hasattr(at, folder):
                at.add_module(folder, Empty())
            at = getattr(at, folder)
        at.register_parameter(last, torch.nn.Parameter(tensor.clone(), requires_grad=False))
    with warnings.catch_warnings():  # TorchScript is on its way out, but OpenAI's files are made of it
        warnings.simplefilter("ignore")
        torch.jit.script(root).save(str(tmp_path / "ViT.pt"))
    state = read_weights(tmp_path / "ViT.pt")
    assert "input_resolution" in state and state.keys() - {"input_resolution"} == vit.state_dict().keys()
    assert agrees(load(str(tmp_path / "ViT.pt")), made(VIT, quick_gelu=True))


def test_a_folder_with_a_configuration(tmp_path, vit):
    config = {"model_cfg": VIT, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(vit.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    backbone = load(str(tmp_path))
    assert backbone.preprocess == Preprocess((32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))
    assert agrees(backbone, vit)


def test_a_folder_without_one(tmp_path):
    with pytest.raises(UserError, match="backbone local-dir:.* could not be loaded: "):
        load(str(tmp_path))


def test_an_architecture_takes_weights_from_a_file(tmp_path, vit, monkeypatch):
    asked = []

    def create(name, pretrained, **options):
        asked.append((name, pretrained, options["precision"], options["require_pretrained"]))
        return made(VIT)

    monkeypatch.setattr(module.open_clip, "create_model", create)
    torch.save(vit.state_dict(), tmp_path / "w.pt")
    backbone = load("ViT-B-32", str(tmp_path / "w.pt"))
    assert asked == [("ViT-B-32", str(tmp_path / "w.pt"), "fp32", True)]
    assert backbone.name == f"ViT-B-32/{tmp_path / 'w.pt'}" and isinstance(backbone.tokenizer, ClipTokenizer)
    (tmp_path / "w.pt").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"w\.pt cannot be read as weights|w\.pt is not a plain tensor file"):
        load("ViT-B-32", str(tmp_path / "w.pt"))
    assert len(asked) == 1


@pytest.mark.parametrize("tag, quick", [("openai", True), ("laion2b_s34b_b79k", False)])
def test_a_tag_knows_its_activation(monkeypatch, tag, quick):
    asked = []

    def create(*arguments, **options):
        asked.append(options["force_quick_gelu"])
        return made(VIT)

    monkeypatch.setattr(module.open_clip, "create_model", create)
    load("ViT-B-32", tag)
    assert asked == [quick]


def test_open_clips_own_error_is_told(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no network\nand more lines")

    monkeypatch.setattr(module.open_clip, "create_model", fail)
    with pytest.raises(UserError, match=r"^backbone ViT-B-32 openai could not be loaded: no network$"):
        load("ViT-B-32", "openai")


@pytest.mark.parametrize(
    "name, pretrained, reason",
    [
        ("ViT-B-61", "", "unknown backbone 'ViT-B-61'; nearest: .*ViT-B-16.* shows all"),
        ("xyz", "", "unknown backbone 'xyz'; nearest: tiny"),
        ("ViT-B-16", "openia", "unknown weights 'openia' for ViT-B-16; nearest: openai"),
        ("ViT-B-16", "nowhere/w.pt", "unknown weights 'nowhere/w.pt' for ViT-B-16; .* or a file's path"),
        ("none.pt", "", "no weights file at none.pt; check the path"),
    ],
)
def test_names_that_are_none(name, pretrained, reason):
    with pytest.raises(UserError, match=reason):
        load(name, pretrained)


def test_lists():
    assert names()[0] == "tiny" and "ViT-B-16" in names()
    assert "openai" in tags("ViT-B-16")


class Code:
    def __reduce__(self):
        return print, ("run",)


def broken(tmp_path, vit, kind):
    path, state = tmp_path / "w.pt", dict(vit.state_dict())
    if kind == "truncated":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "text":
        path.write_text("not weights")
    elif kind == "code":
        torch.save({"x": Code()}, path)
    elif kind == "other":
        torch.save({"layer.weight": torch.zeros(2)}, path)
    elif kind == "incomplete":
        del state["ln_final.bias"]
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("truncated", "cannot be read as weights|is not a plain tensor file"),
        ("text", "cannot be read as weights|is not a plain tensor file"),
        ("code", "is not a plain tensor file|cannot be read as weights"),
        ("other", "does not hold a CLIP state dict in OpenAI's naming"),
        ("incomplete", "is not a complete CLIP state dict: .*ln_final.bias"),
    ],
)
def test_files_that_are_no_weights(tmp_path, vit, capsys, kind, reason):
    with pytest.raises(UserError, match=reason) as told:
        load(str(broken(tmp_path, vit, kind)))
    assert "\n" not in str(told.value) and "run" not in capsys.readouterr().out
