"""Names of backbones as users type them, and their names in open_clip."""

import pytest

from cliptune.backbones.bundled import BUNDLED
from cliptune.backbones.resolve import BackboneSource, list_backbones, list_pretrained_tags, resolve_backbone
from cliptune.errors import UserError


def test_lists():
    assert list_backbones()[0] == "tiny" and "ViT-B-16" in list_backbones()
    assert "openai" in list_pretrained_tags("ViT-B-16")


@pytest.mark.parametrize("name", [name for name in list_backbones() if name not in BUNDLED])
def test_an_architecture_is_known_by_its_name(name):
    assert resolve_backbone(name, "random") == BackboneSource("architecture", name, "random")


@pytest.mark.parametrize(
    "spelled, name",
    [
        ("ViT-B/16", "ViT-B-16"),
        ("ViT-B/32", "ViT-B-32"),
        ("ViT-L/14", "ViT-L-14"),
        ("ViT-L/14@336px", "ViT-L-14-336"),
        ("vit_b16", "ViT-B-16"),
        ("vit-b-16", "ViT-B-16"),
        ("ViT-B16", "ViT-B-16"),
        ("vit_l14_336", "ViT-L-14-336"),
        ("rn50", "RN50"),
        ("rn50x64", "RN50x64"),
        ("ViT-B/16-quickgelu", "ViT-B-16-quickgelu"),
    ],
)
def test_other_spellings_are_understood_with_a_note(spelled, name):
    note = f"{spelled} is called {name} in open_clip; using that"
    assert resolve_backbone(spelled, "openai") == BackboneSource("architecture", name, "openai", note)


def test_transformers_copies_of_openais_models():
    source = resolve_backbone("openai/clip-vit-base-patch16")
    assert source.label == "ViT-B-16/openai"
    assert (
        source.note
        == "openai/clip-vit-base-patch16 is called ViT-B-16 with --pretrained openai in open_clip; using that"
    )


def test_paths_and_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"x")
    (tmp_path / "ViT-B-16").mkdir()
    (tmp_path / "model").mkdir()
    assert resolve_backbone("weights") == BackboneSource("file", "weights") and resolve_backbone(
        "missing.pt"
    ) == BackboneSource("file", "missing.pt")
    assert resolve_backbone("model") == resolve_backbone("local-dir:model") == BackboneSource("folder", "model")
    assert resolve_backbone("ViT-B-16", "openai").kind == "architecture", "a folder of that name has no configuration"
    (tmp_path / "ViT-B-16" / "open_clip_config.json").write_text("{}")
    assert resolve_backbone("ViT-B-16").kind == "folder"
    for name in ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "timm/ViT-B-16-SigLIP", "hf-hub:timm/ViT-B-16-SigLIP"):
        source = resolve_backbone(name)
        assert source.kind == "hub" and source.label == f"hf-hub:{name.removeprefix('hf-hub:')}"


def test_labels():
    assert BackboneSource("architecture", "ViT-B-16", "openai").label == "ViT-B-16/openai"
    assert BackboneSource("folder", "a/b").label == "local-dir:a/b" and BackboneSource("file", "w.pt").label == "w.pt"


def test_tags_in_other_letters():
    assert resolve_backbone("ViT-B-32", "OpenAI").pretrained == "openai"
    assert resolve_backbone("ViT-B-32", "laion2b-s34b-b79k").pretrained == "laion2b_s34b_b79k"


@pytest.mark.parametrize(
    "name, pretrained, reason",
    [
        ("ViT-B-61", "", "unknown backbone 'ViT-B-61'; nearest: .*ViT-B-16.* shows all"),
        ("xyz", "", "unknown backbone 'xyz'; nearest: tiny"),
        ("", "", "unknown backbone ''; nearest: tiny"),
        ("ViT-B/17", "openai", "unknown backbone 'ViT-B/17'; nearest: .*ViT-B-16"),
        ("RN50x63", "openai", "unknown backbone 'RN50x63'; nearest: RN50x64"),
        ("./nowhere/model", "", "no backbone at './nowhere/model': no such file or folder"),
        ("ViT-B-16", "openia", "unknown weights 'openia' for ViT-B-16; nearest: openai"),
        ("ViT-B-16", "nowhere/w.pt", "unknown weights 'nowhere/w.pt' for ViT-B-16; .* or a file's path"),
        (
            "ViT-B-16",
            "",
            "^backbone ViT-B-16 needs weights: add --pretrained with one of openai, laion400m.* and .* more",
        ),
        ("RN50x64", "", "one of openai, or a file, or random for untrained weights"),
        (
            "tiny",
            "openai",
            "--pretrained openai is for .* architecture, but the bundled tiny backbone includes its weights",
        ),
        ("w.pt", "openai", "but the file w.pt includes its weights"),
        ("org/model", "random", "but the hub org/model includes its weights"),
    ],
)
def test_unknown_names_are_refused(name, pretrained, reason):
    with pytest.raises(UserError, match=reason) as error:
        resolve_backbone(name, pretrained)
    assert not str(error.value).rstrip().endswith(":")
