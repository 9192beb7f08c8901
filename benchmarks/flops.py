"""Lower bounds on the work in GFLOP: multiplications and additions that every exact computation needs."""

from __future__ import annotations

from workloads import BATCH, CACHED, Bench, classnames

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.methods.coop import CoOp

#: FLOPs per token, in units of width^2, of a block: queries, keys and values; then output projection and MLP.
QKV, REST = 6, 18


def image_forward(backbone: Backbone, batch: int, prompts: int) -> float:
    """Forward pass of the image tower with `prompts` tokens; the last block is computed for the class token only."""
    patches, width, depth = backbone.patch_grid[0] * backbone.patch_grid[1], backbone.image_width, backbone.image_depth
    tokens = 1 + patches + prompts
    stem = 2 * patches * backbone.vit.conv1.weight.numel()
    block = (QKV + REST) * tokens * width**2 + 4 * tokens**2 * width
    last = 4 * tokens * width**2 + (2 + REST) * width**2
    return 1e-9 * batch * (stem + (depth - 1) * block + last)


def image_backward(backbone: Backbone, batch: int, prompts: int) -> float:
    """Backward pass to the prompts: attention counts twice, and the first projection of frozen tokens not at all."""
    patches, width, depth = backbone.patch_grid[0] * backbone.patch_grid[1], backbone.image_width, backbone.image_depth
    tokens = 1 + patches + prompts
    block = (QKV + REST) * tokens * width**2 + 8 * tokens**2 * width
    last = 4 * tokens * width**2 + (2 + REST) * width**2
    return 1e-9 * batch * ((depth - 1) * block + last - QKV * (1 + patches) * width**2)


def text_forward(backbone: Backbone, sentences: TokenizedText) -> float:
    """Forward pass of the text tower: the shared prefix once, and each prompt's own tokens up to its end."""
    prefix = sentences.shared_prefix(True)
    packing, width, depth = PackedSequences.pack(sentences, prefix, 1), backbone.text_width, backbone.text_depth
    seen = int((packing.position[prefix:] + 1).sum()) + prefix * (prefix + 1) // 2
    block = (QKV + REST) * len(packing.row) * width**2 + 4 * seen * width
    last = 4 * len(packing.row) * width**2 + (2 + REST) * len(sentences) * width**2
    return 1e-9 * ((depth - 1) * block + last)


def text_backward(backbone: Backbone, sentences: TokenizedText) -> float:
    """Backward pass to the prompts; attention, a small part, counts once."""
    own = sentences.packed_tokens(sentences.shared_prefix(True))
    return text_forward(backbone, sentences) - 1e-9 * QKV * own * backbone.text_width**2


def least_work(bench: Bench, name: str, variant: str, classes: int) -> float:
    """All of a workload of `Bench`; in those of DAPT, the few sentences about backgrounds are left out."""
    backbone, batch, tokens = bench.backbone, BATCH, 4 if name == "promptsrc" else 2
    sentences = (CoOp() if name == "coop" else bench.prompts).class_prompts(backbone, classnames(max(classes, 1)), ())
    text = text_forward(backbone, sentences)
    text_step = text + text_backward(backbone, sentences)
    if name == "evaluation":
        batch = len(bench.evaluated(classes))
    frozen, forward = image_forward(backbone, batch, 0), image_forward(backbone, batch, tokens)
    backward = image_backward(backbone, batch, tokens)
    return {
        "vision": forward,
        "gradcam": forward,
        "text": text,
        "evaluation": text + forward,
        "coop": text_step + (0 if variant == CACHED else frozen),
        "maple": text_step + forward + backward,
        "promptsrc": text_step + forward + backward + frozen,
        "pull-push": text_step + 3 * forward + backward,
        "alignment": text_step + 3 * forward + 2 * backward,
    }[name]
