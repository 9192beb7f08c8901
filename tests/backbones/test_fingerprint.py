"""A fingerprint covers weights and everything that computes with them; older ones cover weights only."""

import copy
import hashlib

import pytest

import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.preprocess import Preprocess
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError

CONFIG = {
    "embed_dim": 24,
    "text_cfg": {"width": 64, "heads": 4, "layers": 2},
    "vision_cfg": {"width": 96, "head_width": 48, "layers": 2, "patch_size": 8, "image_size": 32},
}


def made(quick_gelu=False, tokenizer=None, preprocess=None, model=None, **fields):
    """A model of fixed weights with changed fields of its towers."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()}
    for name, value in fields.items():
        tower, _, rest = name.partition("_")
        config[f"{tower}_cfg"][rest] = value
    model = tiny_clips.clip(config, quick_gelu)
    model.load_state_dict(tiny_clips.clip(CONFIG).state_dict())
    backbone = Backbone("x", model, tokenizer or ClipTokenizer(77), linear_backend="torch")
    if preprocess:
        backbone.__dict__["preprocess"] = preprocess
    return backbone


PLAIN = ClipTokenizer(77)
PLAIN.clean_fn = str
OTHERS = {
    "activation": {"quick_gelu": True},
    "heads of the text tower": {"text_heads": 2},
    "heads of the image tower": {"vision_head_width": 24},
    "pooling of the text tower": {"text_pool_type": "last"},
    "pooling of the image tower": {"vision_pool_type": "avg"},
    "epsilon": {"text_norm_kwargs": {"eps": 1e-3}},
    "mask": {"text_no_causal_mask": True},
    "tokenizer": {"tokenizer": PLAIN},
    "mean": {"preprocess": Preprocess((32, 32), mean=(0.5,) * 3)},
    "resize mode": {"preprocess": Preprocess((32, 32), "squash")},
    "interpolation": {"preprocess": Preprocess((32, 32), interpolation="bilinear")},
}


def test_equal_models_have_equal_fingerprints():
    prints = [one.fingerprints for one in (made(), made(), Backbone("y", made().model, ClipTokenizer(77)))]
    assert len({one.backbone for one in prints}) == 1
    made().fingerprints.check_same(made().fingerprints.describe(), "c")


@pytest.mark.parametrize("kind", OTHERS)
def test_every_computation_is_covered(kind):
    other, described = made(**OTHERS[kind]), made().fingerprints.describe()
    prints = other.fingerprints
    assert prints.weights == described["weights"] and prints.backbone != described["fingerprint"]
    with pytest.raises(UserError, match="with the same weights but other settings: .*, not .*; load it with those"):
        other.fingerprints.check_same(described, "c")


def test_weights_are_covered():
    for name in ("visual.proj", "text_projection", "ln_final.bias"):
        other = made()
        other.model.get_parameter(name).data += 1e-3
        assert other.fingerprints.backbone != made().fingerprints.backbone
        with pytest.raises(
            UserError, match=r"c was trained on backbone 'x' \(.{16}\), not on 'x' \(.{16}\); load that"
        ):
            other.fingerprints.check_same(made().fingerprints.describe(), "c")


def test_older_checkpoints_identify_weights_only():
    """By the formula of earlier versions."""
    digest, model = hashlib.sha256(), made().model
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.flatten()[:: max(1, value.numel() // 4096)].numpy().tobytes())
    old = {"name": "x", "fingerprint": digest.hexdigest()[:16]}
    made().fingerprints.check_same(old, "c")
    made(quick_gelu=True).fingerprints.check_same(old, "c")
    with pytest.raises(UserError, match="was trained on backbone 'x'"):
        other = copy.deepcopy(model)
        other.visual.proj.data += 1e-3
        Backbone("x", other, None).fingerprints.check_same(old, "c")


def test_the_bundled_backbone_has_the_recorded_fingerprint(tiny_backbone):
    assert tiny_backbone.fingerprints.weights == "0c4a198132910bdd"


def test_missing_fields_are_no_difference():
    described = made().fingerprints.describe()
    described["settings"] = {"text tower": {"heads": [4]}}
    described["fingerprint"] = "another version's"
    made().fingerprints.check_same(described, "c")


def test_fingerprints_of_towers_outside_open_clip():
    for shape in ("resnet", "timm"):
        backbone = tiny_clips.backbone(shape)
        assert backbone.fingerprints.backbone != tiny_clips.backbone("deep_image").fingerprints.backbone
        assert backbone.fingerprints.settings["image tower"]["kind"] in ("ModifiedResNet", "TimmModel")
