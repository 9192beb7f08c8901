"""Families of open_clip's models, and a table of the methods that work on them.

`PYTHONPATH=tests python -m contracts.families` prints the table of docs/backbones.md: it narrows one configuration of
every kind of towers, compares its features and zero-shot logits with open_clip's, and trains every method on it.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import open_clip
import torch
from torch import Tensor

import narrow_configs
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load_backbone
from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.errors import UserError
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency import gradcam
from contracts.test_methods import suited
from tiny_tasks import QUICK, learned, model, task, trained

#: Pattern of architecture names -> title of the family; the first match counts.
FAMILIES = {
    "coca_roberta": "CoCa, text tower of Hugging Face",
    "coca": "CoCa",
    "convnext": "ConvNeXt",
    "EVA": "EVA",
    "MobileCLIP": "MobileCLIP",
    "nllb": "NLLB, text tower of Hugging Face",
    "mt5": "mT5, text tower of Hugging Face",
    "roberta": "RoBERTa and XLM-R, text towers of Hugging Face",
    "PE-Core": "PE-Core",
    "RN": "CLIP, ResNet",
    "swin": "Swin",
    "vit_": "ViT of timm",
    "CLIPA": "CLIPA",
    "worldwide": "MetaCLIP 2 (worldwide)",
    "SigLIP2": "SigLIP 2",
    "SigLIP": "SigLIP",
    "ViTamin": "ViTamin",
    "ViT": "CLIP, ViT",
}
#: Parts of names that only change sizes or the training of the weights.
SIZES = {
    "width",
    "heads",
    "layers",
    "vocab_size",
    "context_length",
    "mlp_ratio",
    "image_size",
    "patch_size",
    "head_width",
}
SIZES |= {"timm_drop", "timm_drop_path", "timm_model_pretrained", "attn_pooler_heads", "tokenizer_kwargs"}
#: Column of the table -> its methods.
COLUMNS = {
    "fixed text": ("zeroshot", "cupl", "taskres", "linear_probe", "clip_adapter", "tip_adapter", "tip_adapter_f"),
    "text tokens": ("coop", "kgcoop", "prograd", "cocoop", "tcp", "language"),
    "image tokens": ("vpt", "promptkd"),
    "tokens in both": (
        "ivlp",
        "maple",
        "coprompt",
        "hicropl",
        "promptsrc",
        "restore",
        "mmrl",
        "mmrlpp",
        "dpt",
        "dpl",
        "clip_lora",
        "two_stage_fs",
    ),
}
HEAD = ("family", "for example", "configurations", "features and logits", *COLUMNS, "Grad-CAM")
NAMES = ("cat", "red fox", "St. Bernard", "dog")
TEMPLATES = ("a photo of a {}.", "itap of my {}.")
#: Largest allowed difference relative to the largest value, in single precision.
EXACT = 1e-5


def family(name: str) -> str:
    return next(title for part, title in FAMILIES.items() if part in name)


def signature(name: str) -> str:
    """The part of a configuration that decides the mathematics: without sizes, and with kinds instead of names."""
    config = open_clip.get_model_config(name)
    assert config is not None
    for part in ("text_cfg", "vision_cfg"):
        own = {key: value for key, value in config[part].items() if key not in SIZES}
        if "timm_model_name" in own:
            own["timm_model_name"] = next(
                start for start in narrow_configs.TIMM if own["timm_model_name"].startswith(start)
            )
        if "hf_tokenizer_name" in own:
            own["hf_tokenizer_name"] = narrow_configs.first(narrow_configs.KINDS, own["hf_tokenizer_name"])
        if "hf_model_name" in own:
            own["hf_model_name"] = next(part for part in narrow_configs.HF if part in own["hf_model_name"])
        if isinstance(config[part].get("layers"), list):
            own["resnet"] = True
        config[part] = own
    return json.dumps([family(name), {k: v for k, v in config.items() if k not in ("embed_dim", "multimodal_cfg")}])


@cache
def kinds() -> dict[str, list[str]]:
    """One architecture for each distinct signature -> all that share it."""
    found: dict[str, list[str]] = {}
    for name in open_clip.list_models():
        found.setdefault(signature(name), []).append(name)
    return {names[0]: names for names in found.values()}


def differences(folder: Path) -> tuple[Backbone, dict[str, float]]:
    """The backbone in a local folder, and the differences of its image features, text features and zero-shot logits
    from open_clip's pipeline, relative to the largest value. Call it within `narrow_timm`."""
    theirs, tokenizer = (
        open_clip.create_model(f"local-dir:{folder}").eval(),
        open_clip.get_tokenizer(f"local-dir:{folder}"),
    )
    ours = load_backbone(str(folder), linear_backend="torch")
    images = torch.randn(2, 3, *_size(ours), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        texts = tokenizer([template.format(name) for name in NAMES for template in TEMPLATES])
        image, text = theirs.encode_image(images), theirs.encode_text(texts)
        classes = open_clip.build_zero_shot_classifier(theirs, tokenizer, NAMES, TEMPLATES)
        bias = 0.0 if theirs.logit_bias is None else theirs.logit_bias
        logits = theirs.logit_scale.exp() * theirs.encode_image(images, normalize=True) @ classes + bias
        model = TunedModel(ours, _Both(), NAMES, TEMPLATES).eval()
        found = {
            "image": _apart(ours.encode_image(images), image),
            "text": _apart(ours.encode_text(model.class_text.text), text),
            "logits": _apart(model({"image": images}).logits, logits),
        }
    return ours, found


class _Both(ZeroShot):
    """Zero-shot in every template of the dataset."""

    def class_prompts(self, backbone, classnames, templates):
        return tokenize_templates(backbone.prompt_tokenizer, templates, classnames)


def _apart(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return float((got - expected).abs().max() / expected.abs().max())


def _size(backbone: Backbone) -> tuple[int, int]:
    size = backbone.visual.image_size
    return (size, size) if isinstance(size, int) else tuple(size)


def works(method: str, backbone: Backbone) -> bool:
    """Whether a method trains on a backbone; False if it is refused with a `UserError`."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            tuned, history = trained(suited(method), backbone, replace(QUICK, epochs=1), task(shots=1))
    except UserError as refusal:
        assert "\n" not in str(refusal), refusal
        return False
    assert all(tensor.isfinite().all() for tensor in learned(tuned).values()) and bool(history) == tuned.method.trains
    return True


def row(name: str, names: Sequence[str], root: Path) -> tuple[str, ...]:
    """The table's row of a kind of towers, with `name` as the example of `names`. Call it within `narrow_timm`."""
    backbone, apart = differences(narrow_configs.folder(name, root / name))
    exact = "exact" if max(apart.values()) < EXACT else "differ"
    cells = ["/".join(sorted({"trains" if works(m, backbone) else "refused" for m in ms})) for ms in COLUMNS.values()]
    return family(name), name, str(len(names)), exact, *cells, "yes" if sees(backbone) else "refused"


def sees(backbone: Backbone) -> bool:
    """Whether Grad-CAM works on a backbone."""
    shown = model(ZeroShot(), backbone, task())
    images = torch.randn(2, 3, *_size(backbone), generator=torch.Generator().manual_seed(1))
    try:
        return bool(gradcam.gradcam(shown, images, torch.tensor([0, 1])).isfinite().all())
    except UserError:
        return False


def joined(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Merge equal rows of a family."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for title, name, count, *outcome in rows:
        _, first, before = found.get((title, *outcome), (title, name, "0"))[:3]
        found[title, *outcome] = title, first, str(int(before) + int(count)), *outcome
    return sorted(found.values(), key=lambda one: list(FAMILIES.values()).index(one[0]))


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main() -> None:
    logging.disable(logging.ERROR)  # open_clip logs that the weights of each model are random
    with tempfile.TemporaryDirectory() as root, narrow_configs.narrow_timm():
        rows = [row(name, names, Path(root)) for name, names in kinds().items()]
    sys.stdout.write(markdown(joined(rows)))


if __name__ == "__main__":
    main()
