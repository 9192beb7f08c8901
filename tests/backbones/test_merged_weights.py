"""Weights with changes merged into them give open_clip's plain model the features of the changed towers."""

from typing import Any

import open_clip
import pytest
import torch

import narrow_configs
from backbones.test_changed_block import change
from cliptune.backbones.load import load_backbone
from cliptune.backbones.merged_weights import merged_state_dict, open_clip_config, write_model_folder
from cliptune.errors import UserError
from cliptune.types import BlockChange, Prompts, TowerChange
from tiny_clips import NAMES, SHAPES, VITS, backbone, random_images


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("names", ["q k v o fc proj", "k proj"])
@torch.no_grad()
def test_every_kind_of_change_is_merged(shape, names):
    of = backbone(shape)
    text, _ = change(of, of.text_width, of.text_depth, names)
    image, _ = change(of, of.image_width, of.image_depth, names)
    outer = {name: (torch.full((of.image_width,), 0.7), torch.ones(of.image_width)) for name in ("ln_pre", "ln_post")}
    prompts = Prompts(text_change=text, image_change=TowerChange(image.blocks, outer))
    before = {name: value.clone() for name, value in of.model.state_dict().items()}
    model = open_clip.model.CLIP(**SHAPES[shape]).eval()
    model.load_state_dict(merged_state_dict(of, prompts))
    images, words = random_images(of), of.tokenize(NAMES)
    assert torch.allclose(model.encode_image(images), of.encode_image(images, prompts), atol=1e-4, rtol=1e-4)
    got = model.encode_text(open_clip.SimpleTokenizer()(list(NAMES)))
    assert torch.allclose(got, of.encode_text(words, prompts), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in of.model.state_dict().items()), "it changed itself"


def test_what_weights_cannot_contain_is_refused():
    of = backbone("deep_image")
    branch = TowerChange((BlockChange(branch=torch.nn.Identity()),))
    with pytest.raises(UserError, match="a branch beside a block cannot be merged"):
        merged_state_dict(of, Prompts(image_change=branch))
    with pytest.raises(UserError, match="changes 5 blocks, but the tower has 4; use fewer"):
        merged_state_dict(of, Prompts(image_change=TowerChange((None,) * 5)))
    with pytest.raises(UserError, match="no configuration that a folder could contain; name a file that ends in"):
        open_clip_config(of)


@pytest.mark.parametrize(
    "name, activation",
    [("ViT-B-32", None), ("ViT-B-32", True), ("ViT-B-32-quickgelu", None), ("ViT-L-14-worldwide", None)],
)
def test_a_folder_is_the_same_model_for_open_clip_and_for_cliptune(tmp_path, name, activation):
    first = load_backbone(str(narrow_configs.folder(name, tmp_path / "source")), quick_gelu=activation)
    file = write_model_folder(tmp_path / "out", first, merged_state_dict(first, Prompts()))
    assert file == tmp_path / "out" / "open_clip_model.safetensors"
    theirs: Any = open_clip.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    again = load_backbone(str(tmp_path / "out"))
    assert again.fingerprints.weights == first.fingerprints.weights
    assert again.fingerprints.settings == first.fingerprints.settings
    images = random_images(first)
    with torch.no_grad():
        assert torch.allclose(theirs.encode_image(images), first.encode_image(images), atol=1e-5)
