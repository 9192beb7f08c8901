"""Check that a checkpoint was trained on the backbone, and decode the class names it was trained with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.detect import CTX
from cliptune.user_warnings import warn_user

#: Largest difference of equal weights, relative to the largest weight: rounding to half precision and averaging over
#: epochs change them by less. The weights of another CLIP differ by about their own size.
WEIGHT_TOLERANCE = 0.02
#: Largest difference of equal text features, relative to their norm.
FEATURE_TOLERANCE = 0.05
#: Patterns of spaces that decoding adds, such as between digits and around hyphens -> replacements.
SPACING_RULES = ((r"(?<=\d) (?=\d)", ""), (r" ?([-/']) ?", r"\1"), (r" (?=[,.;:!?)])", ""), (r"(?<=[(]) ", ""))
ADVICE = "choose the CLIP it was trained on with --backbone and --pretrained"


def check_compatible(saved: OfficialCheckpoint, backbone: Backbone) -> None:
    """Raise `UserError` if the tensors were learned for another CLIP: other widths, or other frozen weights.

    Warns if the activation is not QuickGELU, which the authors' code always uses; tensors do not show it.
    """
    if not isinstance(backbone.tokenizer, SimpleTokenizer):
        raise UserError(
            f"{saved.path} was trained on OpenAI's CLIP, but backbone {backbone.name!r} has another tokenizer; {ADVICE}"
        )
    for name, tensor in saved.learned.items():
        if name == CTX or ".ctx_txt_lst." in name:
            _check_width(saved, name, tensor.shape[-1], backbone.text_width, backbone)
        elif name == "image_encoder.VPT" or ".ctx_img_lst." in name:
            _check_width(saved, name, tensor.shape[-1], backbone.image_width, backbone)
        elif name == "prompt_learner.proj.weight":
            _check_width(saved, name, tensor.shape[0], backbone.image_width, backbone)
    own = {f"image_encoder.{name}": tensor for name, tensor in backbone.visual.state_dict().items()}
    own |= {f"text_encoder.{name}": tensor for name, tensor in backbone.text.state_dict().items()}
    own["logit_scale"] = backbone.model.logit_scale
    for name, tensor in saved.towers.items():
        if name not in own or own[name].shape != tensor.shape:
            other = "has no such tensor" if name not in own else f"has {tuple(own[name].shape)}"
            raise UserError(
                f"{saved.path} was trained on another CLIP than {backbone.name!r}: its {name} has shape "
                f"{tuple(tensor.shape)}, the backbone {other}; {ADVICE}"
            )
        if tensor.is_floating_point() and not _is_close(tensor, own[name]):
            raise UserError(
                f"{saved.path} was trained on another CLIP than {backbone.name!r}: the frozen weights {name} differ; "
                f"{ADVICE}"
            )
    activation = type(backbone.text.transformer.resblocks[0].mlp.gelu).__name__
    if activation != "QuickGELU":
        warn_user(
            f"the authors' CLIP has QuickGELU, but backbone {backbone.name!r} has {activation}: unless the checkpoint "
            f"was trained with that, use a backbone that ends in -quickgelu, or --pretrained openai"
        )


def suffix_tokens(saved: OfficialCheckpoint, backbone: Backbone) -> list[list[int]] | None:
    """Token ids after the learned context up to end-of-text, per class; None if the file does not contain them.

    The file contains their embeddings in full or half precision. Raises `UserError` if the backbone has other
    embeddings.
    """
    if saved.suffix is None:
        return None
    return token_rows(saved, backbone, saved.suffix)


def sentence_tokens(saved: OfficialCheckpoint, backbone: Backbone) -> list[list[int]] | None:
    """Token ids of the classes' sentences after start-of-text, up to end-of-text; None if the file does not contain
    them. Raises `UserError` if the backbone has other embeddings."""
    return None if saved.sentences is None else token_rows(saved, backbone, saved.sentences[:, 1:])


def token_rows(saved: OfficialCheckpoint, backbone: Backbone, embeddings: Iterable[Tensor]) -> list[list[int]]:
    """Token ids of rows of embeddings `(n, width)` from the file, up to end-of-text. Raises `UserError` if the backbone
    has other embeddings."""
    table = backbone.text.token_embedding.weight.detach().cpu().half().numpy()
    tokens = {row.tobytes(): token for token, row in enumerate(table)}
    rows = []
    for sentence in embeddings:
        ids: list[int] = []
        for embedding in sentence.half().numpy():
            token = tokens.get(embedding.tobytes())
            if token is None:
                raise UserError(
                    f"{saved.path} was trained on another CLIP than {backbone.name!r}: its embeddings differ; {ADVICE}"
                )
            ids.append(token)
            if token == backbone.tokenizer.eot_token_id:
                break
        rows.append(ids)
    return rows


def decode_classname(tail: list[int], fixed: list[int], backbone: Backbone, ending: str = ".") -> str:
    """The class name in the token ids after the context: after the fixed words, before `ending` and end-of-text."""
    after = " ?".join(map(re.escape, ending.replace(" ", "")))  # decoding adds spaces
    name = re.sub(f"{after}$", "", backbone.tokenizer.decode(tail[len(fixed) : -1]).strip()).strip()
    ids = backbone.prompt_tokenizer(name)
    for pattern, by in SPACING_RULES:
        shorter = re.sub(pattern, by, name)
        if shorter and backbone.prompt_tokenizer(shorter) == ids:
            name = shorter
    return name


def check_class_features(saved: OfficialCheckpoint, names: Sequence[str], own: Tensor) -> None:
    """Raise `UserError` if the file has other frozen text features than `own` `(classes, d)`, un-normalised."""
    if saved.class_features is None:
        return
    found = saved.class_features.float()
    if found.shape != own.shape:
        raise UserError(
            f"{saved.path} has frozen text features of shape {tuple(found.shape)}, not {tuple(own.shape)}; {ADVICE}"
        )
    apart = (found - own.cpu()).norm(dim=1) / own.cpu().norm(dim=1)
    if not (apart <= FEATURE_TOLERANCE).all():
        raise UserError(
            f"{saved.path} has other frozen text features than {names[int(apart.argmax())]!r} in these templates; list "
            f"the names in the order of training with --classes, and the templates of the dataset with --templates"
        )


def _check_width(saved: OfficialCheckpoint, name: str, width: int, own: int, backbone: Backbone) -> None:
    if width != own:
        raise UserError(
            f"{saved.path} was trained on another CLIP than {backbone.name!r}: {name} is for tokens of width {width}, "
            f"but the backbone has width {own}; {ADVICE}"
        )


def _is_close(saved: Tensor, own: Tensor) -> bool:
    own = own.cpu().float()
    return bool((saved.float() - own).abs().max() <= WEIGHT_TOLERANCE * own.abs().max())
