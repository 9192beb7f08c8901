"""What a checkpoint says about the CLIP and the classes it was trained with."""

from __future__ import annotations

import re
import warnings

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.detect import CTX

#: Rounding to half precision, and an average of such states over epochs, change a weight by less than this share of the
#: largest; the weights of another CLIP differ by as much as they are large.
WEIGHT_TOLERANCE = 0.02
#: Spaces that the tokenizer's own spelling adds: between digits, around hyphens, apostrophes and the like.
SPACING_RULES = ((r"(?<=\d) (?=\d)", ""), (r" ?([-/']) ?", r"\1"), (r" (?=[,.;:!?)])", ""), (r"(?<=[(]) ", ""))
ADVICE = "choose the CLIP it was trained on with --backbone and --pretrained"


def check_compatible(held: OfficialCheckpoint, backbone: Backbone) -> None:
    """Raise `UserError` if the tensors were learned for another CLIP: other widths, or other frozen weights.

    Warn of another activation, which no tensor tells: the authors' code knows OpenAI's alone.
    """
    if not isinstance(backbone.tokenizer, SimpleTokenizer):
        raise UserError(
            f"{held.path} was trained on OpenAI's CLIP, but backbone {backbone.name!r} reads words with another "
            f"tokenizer; {ADVICE}"
        )
    for name, tensor in held.learned.items():
        if name == CTX or ".ctx_txt_lst." in name:
            _check_width(held, name, tensor.shape[-1], backbone.text_width, backbone)
        elif name == "image_encoder.VPT" or ".ctx_img_lst." in name:
            _check_width(held, name, tensor.shape[-1], backbone.image_width, backbone)
        elif name == "prompt_learner.proj.weight":
            _check_width(held, name, tensor.shape[0], backbone.image_width, backbone)
    own = {f"image_encoder.{name}": tensor for name, tensor in backbone.visual.state_dict().items()}
    own |= {f"text_encoder.{name}": tensor for name, tensor in backbone.text.state_dict().items()}
    own["logit_scale"] = backbone.model.logit_scale
    for name, tensor in held.towers.items():
        if name not in own or own[name].shape != tensor.shape:
            there = "none" if name not in own else f"one of {tuple(own[name].shape)}"
            raise UserError(
                f"{held.path} was trained on another CLIP than {backbone.name!r}: it holds {name} of "
                f"{tuple(tensor.shape)}, the backbone {there}; {ADVICE}"
            )
        if tensor.is_floating_point() and not _is_close(tensor, own[name]):
            raise UserError(
                f"{held.path} was trained on another CLIP than {backbone.name!r}: the frozen weights {name} differ; "
                f"{ADVICE}"
            )
    activation = type(backbone.text.transformer.resblocks[0].mlp.gelu).__name__
    if activation != "QuickGELU":
        warnings.warn(
            f"the authors' CLIP has QuickGELU, backbone {backbone.name!r} has {activation}: unless it was trained so, "
            f"name one that ends in -quickgelu, or take OpenAI's weights with --pretrained openai",
            stacklevel=2,
        )


def suffix_tokens(held: OfficialCheckpoint, backbone: Backbone) -> list[list[int]] | None:
    """For each class the token ids that follow the learned context, up to end-of-text; None if the file lacks them.

    The embeddings in the file are those of the CLIP it was trained on, as they are or in half precision. Raises
    `UserError` if the backbone has none such.
    """
    if held.suffix is None:
        return None
    table = backbone.text.token_embedding.weight.detach().cpu().half().numpy()
    tokens = {row.tobytes(): token for token, row in enumerate(table)}
    rows = []
    for sentence in held.suffix.half().numpy():
        ids: list[int] = []
        for embedding in sentence:
            token = tokens.get(embedding.tobytes())
            if token is None:
                raise UserError(
                    f"{held.path} was trained on another CLIP than {backbone.name!r}: its words have other embeddings; "
                    f"{ADVICE}"
                )
            ids.append(token)
            if token == backbone.tokenizer.eot_token_id:
                break
        rows.append(ids)
    return rows


def decode_classname(tail: list[int], fixed: list[int], backbone: Backbone) -> str:
    """The class name in what follows the context: after the words that stay fixed, before full stop and end-of-text."""
    name = backbone.tokenizer.decode(tail[len(fixed) : -1]).strip().removesuffix(".").strip()
    ids = backbone.prompt_tokenizer(name)
    for pattern, by in SPACING_RULES:
        shorter = re.sub(pattern, by, name)
        if shorter and backbone.prompt_tokenizer(shorter) == ids:
            name = shorter
    return name


def _check_width(held: OfficialCheckpoint, name: str, width: int, own: int, backbone: Backbone) -> None:
    if width != own:
        raise UserError(
            f"{held.path} was trained on another CLIP than {backbone.name!r}: {name} is for tokens {width} wide, the "
            f"backbone's are {own}; {ADVICE}"
        )


def _is_close(held: Tensor, own: Tensor) -> bool:
    own = own.cpu().float()
    return bool((held.float() - own).abs().max() <= WEIGHT_TOLERANCE * own.abs().max())
