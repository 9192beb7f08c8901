"""Sentences with attribute words, each behind learned vectors, in front of another context (ATPrompt)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.errors import UserError
from cliptune.text import listed

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.backbones.prompt_tokenizer import PromptTokenizer

#: Token at the positions of learned vectors.
PLACEHOLDER = "X"


def with_attributes(
    tokenizer: PromptTokenizer, text: TokenizedText, attributes: Sequence[str], n_ctx: int, *, cut: bool = False
) -> TokenizedText:
    """`text` with `n_ctx` learned vectors and the words of each attribute before its first word: "p p color p p shape
    v v cat.". The new vectors have the first slots, and deep prompts start behind the attributes.

    cut: Place vectors as if each attribute were one token, as in the released code. Further tokens then move the words
        of the sentence, but no vectors: "p p play p p X v v X cat.".

    Raises:
        UserError: If the sentences are too long for the backbone.
    """
    import torch

    blank = tokenizer.first_ids(PLACEHOLDER, 1)[0]
    ids: list[int] = []
    slots: list[int] = []
    for i, attribute in enumerate(attributes):
        words = tokenizer.first_ids(attribute, 1) if cut else tokenizer.word_ids(attribute)
        ids += [blank] * n_ctx + tokenizer.word_ids(attribute)
        slots += [*range(i * n_ctx, (i + 1) * n_ctx), *(-1 for _ in words)]
    start, vectors, rows = text.context_start, n_ctx * len(attributes), len(text)
    own = torch.where(text.slots >= 0, text.slots + vectors, text.slots)
    more_ids, more_slots = (torch.tensor(row).expand(rows, -1) for row in (ids, slots))
    fill = own.new_full((rows, len(ids) - len(slots)), -1)
    all_ids = torch.cat([text.ids[:, :start], more_ids, text.ids[:, start:]], 1)
    all_slots = torch.cat([own[:, :start], more_slots, own[:, start:], fill], 1)
    keep = _columns(tokenizer, all_ids, attributes)
    all_ids, all_slots = all_ids[:, keep], all_slots[:, keep]
    return replace(
        text,
        ids=all_ids,
        slots=all_slots,
        pool_index=tokenizer.pool_index(all_ids),
        context_start=start + len(slots),
    )


def _columns(tokenizer: PromptTokenizer, ids: Tensor, attributes: Sequence[str]) -> list[int]:
    """The columns of rows `ids` that remain if padding is cut to the context length. Raises `UserError` if there is too
    little padding."""
    width, available = ids.shape[1], tokenizer.context_length
    end = width - len(tokenizer.trailing_ids)
    padding = range(end - max(0, width - available), end)
    if (ids[:, list(padding)] != tokenizer.pad_id).any():
        raise UserError(
            f"with the attributes {listed(attributes)}, a sentence is longer than the {available} tokens of "
            f"{tokenizer.name!r}; use fewer attributes, a smaller n_ctx or shorter class names"
        )
    return [column for column in range(width) if column not in padding]
