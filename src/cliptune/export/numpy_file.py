"""`classifier.npz`: the class matrix of a method that leaves the image tower as it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from open_clip.transformer import QuickGELU

from cliptune import files
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.resolve import RANDOM, resolve_backbone
from cliptune.config import RunConfig
from cliptune.export.class_matrix import class_matrix
from cliptune.export.usage import Usage
from cliptune.model.tuned_model import TunedModel

FILE = "classifier.npz"


def write_matrix(model: TunedModel, folder: Path) -> None:
    """Write `classifier.npz`: class_matrix `(C, d)`, logit_scale `()`, logit_bias `(C,)` and classes `(C,)`."""
    found, content = class_matrix(model), io.BytesIO()
    np.savez(content, classes=np.array(model.classnames, dtype=np.str_), **vars(found))
    files.write_bytes(folder / FILE, content.getvalue())


def about_matrix(model: TunedModel) -> dict[str, Any]:
    """What `classifier.json` says of the matrix."""
    backbone = model.backbone
    return {
        "file": FILE,
        "features": f"image tower of {backbone.name}, {backbone.embed_dim} numbers divided by their length",
        "logits": "logit_scale * features @ class_matrix.T + logit_bias",
    }


def usage(model: TunedModel, run: RunConfig) -> Usage:
    """How to classify with the frozen image tower."""
    preprocess = model.backbone.preprocess
    library, tower = _tower(model.backbone, run)
    return Usage(
        needs="numpy pillow open_clip_torch" if library == "import open_clip" else "numpy pillow cliptune",
        imports=(library, "import torch"),
        setup=(
            f"mean, std = {preprocess.mean}, {preprocess.std}",
            f"tower = {tower}",
            f'arrays = np.load("{FILE}")',
        ),
        logits=(
            "pixels = ((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None]",
            "with torch.no_grad():",
            "    features = tower.encode_image(torch.from_numpy(pixels).float()).numpy()",
            "features /= np.linalg.norm(features)",
            'logits = arrays["logit_scale"] * features @ arrays["class_matrix"].T + arrays["logit_bias"]',
        ),
    )


def _tower(backbone: Backbone, run: RunConfig) -> tuple[str, str]:
    """The import and the expression that give the frozen backbone: by open_clip, if it knows the weights."""
    source = resolve_backbone(run.backbone, run.pretrained)
    tag = source.pretrained
    if source.kind in ("hub", "folder"):
        return "import open_clip", f'open_clip.create_model("{source.label}").eval()'
    if source.kind == "architecture" and tag != RANDOM:
        gelu = ", force_quick_gelu=True" if any(isinstance(m, QuickGELU) for m in backbone.model.modules()) else ""
        return "import open_clip", f'open_clip.create_model("{source.name}", pretrained="{tag}"{gelu}).eval()'
    given = f'"{source.name}", "{tag}"' if tag else f'"{source.name}"'
    return "import cliptune", f"cliptune.load_backbone({given})"
