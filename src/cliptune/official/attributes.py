"""Attributes of an ATPrompt checkpoint: from the options, or from the embeddings in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.tokenized_text import clean_words
from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.compatibility import token_rows
from cliptune.official.detect import ATTRIBUTE
from cliptune.text import listed

#: Mark of a token that ends a word in CLIP's vocabulary.
WORD_END = "</w>"


def attribute_options(saved: OfficialCheckpoint, backbone: Backbone, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `attributes` and `compat` for the checkpoint of a method with attributes; {} for others.

    Raises `UserError` if the file does not show the attributes and none are chosen, or if the chosen ones are not those
    of the file.
    """
    if ATTRIBUTE not in saved.learned:
        return {}
    tokens = [row[0] for row in token_rows(saved, backbone, (own[0] for own in saved.attributes))]
    chosen: Sequence[str] = options.get("attributes", ())
    if not chosen:
        chosen = [backbone.tokenizer.decoder[token] for token in tokens]
        if not chosen or not all(piece.endswith(WORD_END) for piece in chosen):
            raise UserError(f"{saved.path} does not contain its attributes as whole words; list them with --attributes")
        chosen = [piece.removesuffix(WORD_END) for piece in chosen]
    chosen = [clean_words(words) for words in chosen]
    ids = [backbone.prompt_tokenizer.word_ids(words) for words in chosen]
    if tokens and tokens != _at_their_places(ids, backbone, len(saved.learned[ATTRIBUTE])):
        pieces = listed([backbone.prompt_tokenizer.decode(token) for token in tokens])
        raise UserError(
            f"{saved.path} was not trained with the attributes {listed(chosen)}: at their places it has {pieces}; list "
            f"those it was trained with"
        )
    compat = "release" if any(len(own) > 1 for own in ids) else "paper"
    return {"attributes": tuple(chosen), "compat": options.get("compat", compat)}


def without_unused(saved: OfficialCheckpoint, attributes: Sequence[str]) -> OfficialCheckpoint:
    """The checkpoint without the contexts of attributes that it has not: the released code always saves three."""
    unused = {f"{ATTRIBUTE[:-1]}{i}" for i in range(len(attributes) + 1, 4)} if ATTRIBUTE in saved.learned else set()
    learned: dict[str, Tensor] = {name: tensor for name, tensor in saved.learned.items() if name not in unused}
    return replace(saved, learned=learned)


def _at_their_places(ids: Sequence[list[int]], backbone: Backbone, n_ctx: int) -> list[int]:
    """The tokens that the released code takes for the attributes `ids`: as if each were one token."""
    blank = backbone.prompt_tokenizer.word_ids("X")
    # Behind the attributes are placeholders of the context, whose number does not matter here.
    row = [token for own in ids for token in (*(blank * n_ctx), *own)] + blank * 3 * n_ctx
    return [row[i * (n_ctx + 1) + n_ctx] for i in range(len(ids))]
