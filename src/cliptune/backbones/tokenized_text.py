"""Sentences as token ids, with the places where learned context goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cliptune.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cliptune.backbones.prompt_tokenizer import PromptTokenizer

NamePosition = Literal["end", "middle", "front"]


@dataclass(frozen=True)
class TokenizedText:
    """`n` sentences, cut after the longest where nothing behind the pooled token matters, else of full length.

    ids: `(n, length)` int64 tokens, padded as the tokenizer pads. slots: `(n, length)` int64, the context vector that
    stands there, -1 for a token. end: `(n,)` int64 position of the pooled token. per_class: sentences per class.
    embeddings: `(n, length, width)` in place of the tokens' own, before positions are added; None for the tokens' own.
    lead: the position of the first word, where context vectors and deep prompts start.
    """

    ids: Tensor
    slots: Tensor
    end: Tensor
    per_class: int = 1
    embeddings: Tensor | None = None
    lead: int = 1

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> TokenizedText:
        embeddings = None if self.embeddings is None else self.embeddings.to(device)
        ids, slots, end = self.ids.to(device), self.slots.to(device), self.end.to(device)
        return replace(self, ids=ids, slots=slots, end=end, embeddings=embeddings)

    def rows(self, chosen: slice) -> TokenizedText:
        embeddings = None if self.embeddings is None else self.embeddings[chosen]
        ids, slots, end = self.ids[chosen], self.slots[chosen], self.end[chosen]
        return replace(self, ids=ids, slots=slots, end=end, embeddings=embeddings)

    def shared_prefix(self, shared_context: bool) -> int:
        """Leading positions at which all sentences are the same, at most up to the first end-of-text."""
        same = (self.ids == self.ids[:1]).all(0) & (self.slots == self.slots[:1]).all(0)
        if self.embeddings is not None:
            same &= (self.embeddings == self.embeddings[:1]).all(-1).all(0)
        if not shared_context:
            same &= (self.slots < 0).all(0)
        differs = (~same).nonzero()
        length = int(differs[0]) if len(differs) else same.shape[0]
        return min(length, int(self.end.min()))


def underscores_to_spaces(name: str) -> str:
    """A class name as it goes into a sentence: underscores become spaces."""
    return name.replace("_", " ")


def clean_words(words: str) -> str:
    """Words of a context as they go into a sentence: "a_photo_of_a", as research scripts write them, is "a photo of
    a"."""
    return " ".join(underscores_to_spaces(words).split())


def format_template(template: str, name: str) -> str:
    """The sentence with the name in place of `{}`; never `str.format`, which would follow what a file says."""
    return template.replace("{}", name)


def collate_rows(
    encode: PromptTokenizer, rows: Sequence[tuple[list[int], list[int]]], per_class: int = 1
) -> TokenizedText:
    """Pad `(ids, slots)` rows to one length, as the tokenizer pads, and find the pooled tokens."""
    import torch

    longest, last = max(len(ids) for ids, _ in rows), encode.last
    length = encode.length(longest)
    ids = torch.tensor([encode.padded(row, encode.pad, last, length) for row, _ in rows])
    slots = torch.tensor([encode.padded(row, -1, [-1] * len(last), length) for _, row in rows])
    end = encode.pooled(ids)
    if not encode.whole:
        length = max(longest, int(end.max()) + 1)
    return TokenizedText(ids[:, :length], slots[:, :length], end, per_class, lead=encode.lead)


def tokenize_fixed(encode: PromptTokenizer, texts: Sequence[str], per_class: int = 1) -> TokenizedText:
    """Fixed sentences without learned context."""
    return collate_rows(encode, [(ids, [-1] * len(ids)) for ids in map(encode, texts)], per_class)


def tokenize_templates(encode: PromptTokenizer, templates: Sequence[str], classnames: Sequence[str]) -> TokenizedText:
    """Every class in every template (`{}` is the name), the templates of a class side by side."""
    texts = [format_template(template, underscores_to_spaces(name)) for name in classnames for template in templates]
    return tokenize_fixed(encode, texts, len(templates))


def average_embeddings(
    encode: PromptTokenizer, embed: Callable[[Tensor], Tensor], templates: Sequence[str], classnames: Sequence[str]
) -> TokenizedText:
    """One sentence a class: the last template's, each position with the mean embedding of all templates' tokens there.

    embed: ids `(n, length)` -> `(n, length, width)`. Shorter sentences take part with their padding, longer ones up to
    the last template's end (DPL's release).
    """
    import torch
    import torch.nn.functional as F

    last = tokenize_templates(encode, templates[-1:], classnames)
    total = torch.zeros(())
    for template in templates:  # one after the other: together they would take much memory
        ids = tokenize_templates(encode, [template], classnames).ids
        total = total + embed(F.pad(ids, (0, last.ids.shape[1] - ids.shape[1]), value=encode.pad))
    return replace(last, embeddings=total / len(templates))


def tokenize_with_context(
    encode: PromptTokenizer,
    words: str,
    n_ctx: int,
    classnames: Sequence[str],
    position: NamePosition = "end",
    free: int = 0,
) -> TokenizedText:
    """Sentences `"<words> <name>."` whose first `n_ctx` positions that hold words hold learned vectors instead.

    Everything else is as in the fixed sentence: what the tokenizer puts before and after the words, the padding, the
    mask and the pooled position. Without a start-of-text token the vectors come first: "v1 v2 cat </s> <pad> ...".

    words: the phrase that is replaced, "" for placeholders; words beyond `n_ctx` stay as frozen tokens before the name.
    position: where the name stands, after the vectors ("end"), between them ("middle", half of them rounded down before
    it) or before them ("front") (CoOp, section 3.1). Its tokens are those it has after words.
    free: vectors before those of the words.
    Raises `UserError` for words of too few tokens, and where the tokenizer joins words and name into one token.
    """
    lead, tail = encode.frame
    blank = " ".join(["X"] * (free if words else n_ctx))
    phrase = f"{blank} {words}".strip()
    fixed, placeholders = encode.words(phrase), encode.words(blank)
    # A placeholder may be several tokens, or two be one, but a vector stands where one would.
    held = (placeholders * n_ctx)[: free if words else n_ctx] + fixed[len(placeholders) :]
    if len(held) < n_ctx:
        raise UserError(
            f"the words {phrase!r} are {len(held)} tokens, fewer than n_ctx={n_ctx}; give more words or fewer vectors"
        )
    context = list(zip(held[:n_ctx], range(n_ctx), strict=True))
    rows = []
    for name in map(underscores_to_spaces, classnames):
        text = f"{phrase} {name}."
        ids = encode.words(text)
        if ids[: len(fixed)] != fixed or fixed[: len(placeholders)] != placeholders:
            raise UserError(
                f"the tokenizer of backbone {encode.name!r} joins {phrase!r} with the class name {name!r}, so learned "
                f"context has no place; give other words or rename the class"
            )
        length = 0 if position == "end" else len(encode.words(f"{phrase} {name}")) - len(fixed)
        rest = [(token, -1) for token in held[n_ctx:] + ids[len(fixed) :]]
        before = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
        body = context[:before] + rest[:length] + context[before:] + rest[length:]
        row = encode.fitting([*lead, *(token for token, _ in body), *tail], text)
        rows.append((row, [-1] * len(lead) + [slot for _, slot in body] + [-1] * len(tail)))
    return collate_rows(encode, rows)
