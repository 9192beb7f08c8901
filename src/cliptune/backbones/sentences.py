"""Sentences as token ids, with the places where learned context goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cliptune.errors import UserError, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Position = Literal["end", "middle", "front"]
#: text -> token ids from start-of-text to end-of-text, unpadded
Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Sentences:
    """`n` sentences cut after the longest end-of-text.

    ids: `(n, length)` int64 tokens, zero-padded. slots: `(n, length)` int64, the context vector that stands there, -1
    for
    a token. end: `(n,)` int64 position of the pooled token, the first of the largest id. per_class: sentences a class.
    embeddings: `(n, length, width)` in place of the tokens' own, before positions are added; None for the tokens' own.
    """

    ids: Tensor
    slots: Tensor
    end: Tensor
    per_class: int = 1
    embeddings: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Sentences:
        embeddings = None if self.embeddings is None else self.embeddings.to(device)
        return Sentences(self.ids.to(device), self.slots.to(device), self.end.to(device), self.per_class, embeddings)

    def rows(self, chosen: slice) -> Sentences:
        embeddings = None if self.embeddings is None else self.embeddings[chosen]
        return Sentences(self.ids[chosen], self.slots[chosen], self.end[chosen], self.per_class, embeddings)

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


def clean(name: str) -> str:
    """A class name as it goes into a sentence: underscores become spaces."""
    return name.replace("_", " ")


def spaced(words: str) -> str:
    """Words of a context as they go into a sentence: "a_photo_of_a", as research scripts write them, is "a photo of
    a"."""
    return " ".join(clean(words).split())


def check_template(template: str, what: str = "template") -> None:
    """Raise `UserError` for a sentence without exactly one `{}`, or with other braces."""
    if template.count("{}") != 1 or set(template.replace("{}", "")) & {"{", "}"}:
        raise UserError(f"{what} {shown(template)} needs exactly one {{}} where the class name goes, no other braces")


def fill(template: str, name: str) -> str:
    """The sentence with the name in place of `{}`; never `str.format`, which would follow what a file says."""
    return template.replace("{}", name)


def collate(rows: Sequence[tuple[list[int], list[int]]], per_class: int = 1) -> Sentences:
    """Pad `(ids, slots)` rows to one length and find their ends."""
    import torch

    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (length - len(row)) for row, _ in rows])
    slots = torch.tensor([row + [-1] * (length - len(row)) for _, row in rows])
    return Sentences(ids, slots, ids.argmax(-1), per_class)


def plain(encode: Encode, texts: Sequence[str], per_class: int = 1) -> Sentences:
    """Fixed sentences without learned context."""
    return collate([(ids, [-1] * len(ids)) for ids in map(encode, texts)], per_class)


def from_templates(encode: Encode, templates: Sequence[str], classnames: Sequence[str]) -> Sentences:
    """Every class in every template (`{}` is the name), the templates of a class side by side."""
    texts = [fill(template, clean(name)) for name in classnames for template in templates]
    return plain(encode, texts, len(templates))


def blended(
    encode: Encode, embed: Callable[[Tensor], Tensor], templates: Sequence[str], classnames: Sequence[str]
) -> Sentences:
    """One sentence a class: the last template's, each position with the mean embedding of all templates' tokens there.

    embed: ids `(n, length)` -> `(n, length, width)`. Shorter sentences take part with their padding, longer ones up to
    the last template's end (DPL's release).
    """
    import torch
    import torch.nn.functional as F

    last = from_templates(encode, templates[-1:], classnames)
    total = torch.zeros(())
    for template in templates:  # one after the other: together they would take much memory
        ids = from_templates(encode, [template], classnames).ids
        total = total + embed(F.pad(ids, (0, last.ids.shape[1] - ids.shape[1])))
    return replace(last, embeddings=total / len(templates))


def with_context(
    encode: Encode, words: str, n_ctx: int, classnames: Sequence[str], position: Position = "end"
) -> Sentences:
    """Sentences `"<words> <name>."` whose `n_ctx` positions after start-of-text hold learned vectors.

    words: the phrase that is replaced, or "" for placeholders; words beyond `n_ctx` stay as frozen tokens before the
    name.
    position: where the name stands, after the vectors ("end"), amid them ("middle", half of them rounded down before
    it)
    or before them ("front") (CoOp, section 3.1).
    """
    phrase = words or " ".join(["X"] * n_ctx)
    fixed = len(encode(phrase)) - 2
    if fixed < n_ctx:
        raise UserError(
            f"the words {phrase!r} are {fixed} tokens, fewer than n_ctx={n_ctx}; give more words or fewer vectors"
        )
    rows = []
    for name in map(clean, classnames):
        ids = encode(f"{phrase} {name}.")
        length = len(encode(name)) - 2
        context = list(zip(ids[1 : 1 + n_ctx], range(n_ctx), strict=True))
        tail = [(token, -1) for token in ids[1 + n_ctx :]]
        before = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
        if position == "end":
            length = 0  # frozen words may stand between the vectors and the name
        body = context[:before] + tail[:length] + context[before:] + tail[length:]
        rows.append(([ids[0], *(token for token, _ in body)], [-1, *(slot for _, slot in body)]))
    return collate(rows)
