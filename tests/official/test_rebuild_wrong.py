"""Files of another backbone, or with tensors that do not fit, are refused in one sentence."""

import warnings

import pytest
import torch

from cliptune.errors import UserError
from official_files import save
from official_models import METHODS, NAMES, import_checkpoint, logits
from tiny_clips import backbone

pytestmark = pytest.mark.filterwarnings("ignore:the authors' CLIP has QuickGELU:UserWarning")


@pytest.mark.parametrize("key, reason", [
    ("coop", "prompt_learner.ctx is for tokens of width 64, but the backbone has width 96"),
    ("vpt", "image_encoder.VPT is for tokens of width 96, but the backbone has width 64"),
    ("maple", "prompt_learner.ctx is for tokens of width 64, but the backbone has width 96"),
    ("dpl", r"ctx_(txt|img)_lst.\d is for tokens of width \d+, but the backbone has width \d+"),
])  # fmt: skip
def test_a_backbone_of_other_widths(file, key, reason):
    path, _ = file(key, backbone("deep_image"))
    with pytest.raises(
        UserError, match=f"another CLIP than 'deep_text': .*{reason}; choose the CLIP it was trained on"
    ):
        import_checkpoint(path, backbone("deep_text"), METHODS[key][1], names=NAMES)


def test_an_activation_that_the_authors_never_used(file):
    path, _ = file("coop", backbone("deep_image"))
    with pytest.warns(UserWarning, match="has QuickGELU, but backbone 'deep_image' has GELU"):
        import_checkpoint(path, backbone("deep_image"), "coop")
    path, _ = file("coop", backbone("deep_text"))
    with warnings.catch_warnings(action="error"):
        import_checkpoint(path, backbone("deep_text"), "coop")


def test_image_tokens_on_a_resnet(file):
    path, _ = file("vpt", backbone("deep_image"))
    with pytest.raises(UserError, match="'resnet' has a ModifiedResNet image tower"):
        import_checkpoint(path, backbone("resnet"), names=NAMES)


@pytest.fixture(scope="module")
def twin():
    """Another CLIP of the same shape."""
    import copy

    other = copy.deepcopy(backbone("deep_image"))
    other.name = "twin"
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.copy_(parameter.flip(0) if parameter.ndim else parameter)
    return other


def test_another_clip_of_the_same_shape_by_its_towers(file, twin):
    path, _ = file("vpt", backbone("deep_image"))
    with pytest.raises(UserError, match="another CLIP than 'twin': the frozen weights image_encoder.* differ; choose"):
        import_checkpoint(path, twin, names=NAMES)


def test_another_clip_of_the_same_shape_by_its_words(file, twin):
    path, _ = file("coop", backbone("deep_image"))
    twin.text.token_embedding.weight.data += 0.01
    for names in ((), NAMES):
        with pytest.raises(UserError, match="another CLIP than 'twin': its embeddings differ; choose the CLIP"):
            import_checkpoint(path, twin, "coop", names=names)


def test_a_tower_of_more_layers(file):
    path, _ = file("ivlp", backbone("deep_image"))
    found = torch.load(path, weights_only=False)["state_dict"]
    extra = {
        name.replace("resblocks.3", "resblocks.4"): tensor for name, tensor in found.items() if "resblocks.3" in name
    }
    save(path, {**found, **extra})
    with pytest.raises(
        UserError, match=r"its image_encoder.transformer.resblocks.4.* has shape \(\d+.*, the backbone has no such"
    ):
        import_checkpoint(path, backbone("deep_image"))


def test_rounding_and_averaging_are_tolerated(file):
    """PromptSRC averages the whole state, including frozen weights, in half precision."""
    of = backbone("deep_image")
    path, model = file("promptsrc", of)
    found = torch.load(path, weights_only=False)["state_dict"]
    averaged = {
        name: (sum((t * 0.05).half() for _ in range(20)) if "token_" not in name else t) for name, t in found.items()
    }
    save(path, averaged)
    assert (logits(import_checkpoint(path, of)[0]) - logits(model)).abs().max() < 1


def test_missing_or_extra_tensors(file):
    of = backbone("deep_image")
    path, _ = file("maple", of)
    found = torch.load(path, weights_only=False)["state_dict"]
    less = {name: tensor for name, tensor in found.items() if name != "prompt_learner.proj.bias"}
    with pytest.raises(UserError, match="does not fit maple on 'deep_image': prompt_learner.proj.bias is missing"):
        import_checkpoint(save(path, less), of, "maple")
    more = {**found, "prompt_learner.compound_prompt_projections.7.bias": torch.ones(2)}
    with pytest.raises(UserError, match="prompt_learner.compound_prompt_projections.7.bias is unexpected"):
        import_checkpoint(save(path, more), of, "maple")
    wrong = {**found, "prompt_learner.proj.bias": torch.ones(2)}
    with pytest.raises(UserError, match=r"prompt_learner.proj.bias is \(2,\), not \(96,\)"):
        import_checkpoint(save(path, wrong), of, "maple")


def test_more_layers_than_the_backbone_has(file):
    of = backbone("deep_image")
    path, _ = file("language", of)
    found = torch.load(path, weights_only=False)["state_dict"]
    deep = {f"text_encoder.transformer.resblocks.{i}.VPT_shallow": torch.ones(2, 64) for i in range(1, 6)}
    with pytest.raises(UserError, match=r"does not fit backbone 'deep_image': a depth of 6 is more than the 3 layers"):
        import_checkpoint(save(path, {**found, **deep}), of)


def test_options(file):
    path, _ = file("maple", backbone("deep_image"))
    with pytest.raises(UserError, match="unknown option 'wrods' for maple; nearest: words"):
        import_checkpoint(path, backbone("deep_image"), "maple", {"wrods": ""})
    with pytest.raises(UserError, match="unknown option 'lr' for maple; known: depth, n_ctx, words"):
        import_checkpoint(path, backbone("deep_image"), "maple", {"lr": 0.1})
