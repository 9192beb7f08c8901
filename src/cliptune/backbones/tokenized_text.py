"""Prompts as token ids: fixed text, and text with slots for learned context vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cliptune.backbones.cached_on_object import cached_on_object
from cliptune.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cliptune.backbones.prompt_tokenizer import PromptTokenizer

NamePosition = Literal["end", "middle", "front"]
#: Start of a template whose words before the rest are learned context vectors: "[V] {}, a type of pet.".
VECTORS = "[V] "


@dataclass(frozen=True)
class TokenizedText:
    """`n` tokenized texts. They are cut after the longest if the tower is causal, else padded to full length.

    ids: `(n, length)` int64 token ids, padded as the tokenizer pads. slots: `(n, length)` int64, the index of the
    context vector at that position, -1 for a token. pool_index: `(n,)` int64, the position of the pooled token.
    per_class: Number of texts per class. owner: `(n,)` int64, ascending, the class of each text, if classes differ in
    their number of texts; None otherwise. embeddings: `(n, length, width)`, used instead of the token embeddings,
    before positional embeddings are added, or None. context_start: Position of the first word, where context vectors
    and deep prompts start.
    """

    ids: Tensor
    slots: Tensor
    pool_index: Tensor
    per_class: int = 1
    embeddings: Tensor | None = None
    context_start: int = 1
    owner: Tensor | None = None

    @property
    def one_per_class(self) -> bool:
        """Whether every class has exactly one text."""
        return self.per_class == 1 and self.owner is None

    @property
    @cached_on_object
    def classes(self) -> Tensor:
        """`(n,)` int64, ascending, the class of each text."""
        import torch

        rows = torch.arange(len(self.ids), device=self.ids.device)
        return rows // self.per_class if self.owner is None else self.owner.to(rows.device)

    @property
    @cached_on_object
    def texts_per_class(self) -> Tensor:
        """`(n_classes,)` int64, the number of texts of each class."""
        return self.classes.bincount()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> TokenizedText:
        """The same texts with tensors on `device`."""
        return self if self.ids.device == device else self._on(device)

    @cached_on_object
    def _on(self, device: torch.device) -> TokenizedText:
        return self._map(lambda tensor: tensor.to(device))

    def rows(self, chosen: slice) -> TokenizedText:
        """Some of the texts."""
        return self._map(lambda tensor: tensor[chosen])

    @cached_on_object
    def packed_tokens(self, prefix: int) -> int:
        """Number of tokens after the first `prefix` ones of each text, up to the pooled one."""
        return int((self.pool_index - prefix + 1).sum())

    @cached_on_object
    def pieces(self, tokens: int, prefix: int | None = None) -> tuple[tuple[slice, TokenizedText], ...]:
        """The texts in consecutive parts of at most this many tokens, or of one text.

        prefix: Count `packed_tokens` after it; by default padded ones.
        """
        own = [self.ids.shape[1]] * len(self) if prefix is None else (self.pool_index - prefix + 1).tolist()
        starts, used = [0], 0
        for i, length in enumerate(own):
            if i and used + length > tokens:
                starts.append(i)
                used = 0
            used += length
        if len(starts) == 1:
            return ((slice(0, len(self)), self),)
        rows = (slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(self)], strict=True))
        return tuple((some, self.rows(some)) for some in rows)

    @cached_on_object
    def learned(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and positions of the context vectors, and which vector is at each."""
        row, position = (self.slots >= 0).nonzero(as_tuple=True)
        return row, position, self.slots[row, position]

    def _map(self, change: Callable[[Tensor], Tensor]) -> TokenizedText:
        embeddings, owner = (None if x is None else change(x) for x in (self.embeddings, self.owner))
        ids, slots, pool_index = change(self.ids), change(self.slots), change(self.pool_index)
        return replace(self, ids=ids, slots=slots, pool_index=pool_index, embeddings=embeddings, owner=owner)

    @cached_on_object
    def shared_prefix(self, shared_context: bool) -> int:
        """Number of leading positions at which all texts are the same, at most up to the first pooled token."""
        same = (self.ids == self.ids[:1]).all(0) & (self.slots == self.slots[:1]).all(0)
        if self.embeddings is not None:
            same &= (self.embeddings == self.embeddings[:1]).all(-1).all(0)
        if not shared_context:
            same &= (self.slots < 0).all(0)
        differs = (~same).nonzero()
        length = int(differs[0]) if len(differs) else same.shape[0]
        return min(length, int(self.pool_index.min()))


def underscores_to_spaces(name: str) -> str:
    """A class name as it appears in a prompt."""
    return name.replace("_", " ")


def clean_words(words: str) -> str:
    """Context words as they appear in a prompt: "a_photo_of_a", as research scripts write them, is "a photo of a"."""
    return " ".join(underscores_to_spaces(words).split())


def format_template(template: str, name: str) -> str:
    """Replace `{}` by the name. `str.format` would also evaluate other fields, which files may contain."""
    return template.replace("{}", name)


def fixed_templates(templates: Sequence[str]) -> list[str]:
    """The templates without context vectors."""
    return [template for template in templates if not template.startswith(VECTORS)]


def name_templates(templates: Sequence[str]) -> list[str]:
    """What follows the context vectors in the templates with vectors."""
    return [template.removeprefix(VECTORS) for template in templates if template.startswith(VECTORS)]


def collate_rows(
    tokenizer: PromptTokenizer, rows: Sequence[tuple[list[int], list[int]]], per_class: int = 1
) -> TokenizedText:
    """Pad `(ids, slots)` rows to one length, as the tokenizer pads, and locate the pooled tokens."""
    import torch

    longest, last = max(len(ids) for ids, _ in rows), tokenizer.trailing_ids
    length = tokenizer.padded_length(longest)
    ids = torch.tensor([tokenizer.pad_row(row, tokenizer.pad_id, last, length) for row, _ in rows])
    slots = torch.tensor([tokenizer.pad_row(row, -1, [-1] * len(last), length) for _, row in rows])
    pool_index = tokenizer.pool_index(ids)
    if not tokenizer.full_length:
        length = max(longest, int(pool_index.max()) + 1)
    return TokenizedText(
        ids[:, :length], slots[:, :length], pool_index, per_class, context_start=tokenizer.context_start
    )


def tokenize_fixed(tokenizer: PromptTokenizer, texts: Sequence[str], per_class: int = 1) -> TokenizedText:
    """Tokenize texts without learned context."""
    return collate_rows(tokenizer, [(ids, [-1] * len(ids)) for ids in map(tokenizer, texts)], per_class)


def tokenize_templates(
    tokenizer: PromptTokenizer, templates: Sequence[str], classnames: Sequence[str]
) -> TokenizedText:
    """Tokenize every class name in every template (`{}` is the name); the texts of a class are consecutive."""
    texts = [format_template(template, underscores_to_spaces(name)) for name in classnames for template in templates]
    return tokenize_fixed(tokenizer, texts, len(templates))


def average_embeddings(
    tokenizer: PromptTokenizer,
    embed: Callable[[Tensor], Tensor],
    templates: Sequence[str],
    classnames: Sequence[str],
) -> TokenizedText:
    """One text per class: that of the last template, with the mean token embedding over all templates per position.

    embed: Maps ids `(n, length)` to embeddings `(n, length, width)`. Shorter texts contribute their padding, longer
    ones are cut at the end of the last template's text (as in DPL's released code).
    """
    import torch
    import torch.nn.functional as F

    last = tokenize_templates(tokenizer, templates[-1:], classnames)
    total = torch.zeros(())
    for template in templates:  # one by one, which needs less memory than all at once
        ids = tokenize_templates(tokenizer, [template], classnames).ids
        total = total + embed(F.pad(ids, (0, last.ids.shape[1] - ids.shape[1]), value=tokenizer.pad_id))
    return replace(last, embeddings=total / len(templates))


def tokenize_with_context(
    tokenizer: PromptTokenizer,
    words: str,
    n_ctx: int,
    classnames: Sequence[str],
    position: NamePosition = "end",
    free: int = 0,
    name_template: str = "{}.",
    contexts: int = 1,
) -> TokenizedText:
    """Tokenize `"<words> <name>."` with context vectors at the first `n_ctx` word positions.

    All else is as in the fixed text: the tokens before and after the words, padding, mask and pooled position. For a
    tokenizer without start-of-text token, the vectors come first: "v1 v2 cat </s> <pad> ...".

    Args:
        words: The phrase whose tokens are replaced, "" for placeholders. Words beyond `n_ctx` remain as frozen tokens
            before the name.
        position: Position of the class name: after the vectors ("end"), between them ("middle", half of the vectors
            rounded down before it) or before them ("front") (CoOp, section 3.1). The name is tokenized as after words.
        free: Number of vectors before those of the words.
        name_template: What follows the words, with one `{}` for the name, such as "{}, a type of pet.". Its words are
            frozen tokens.
        contexts: Number of texts per class, each with `n_ctx` vectors of its own: the first text has the vectors 0 to
            `n_ctx - 1`, the second the next `n_ctx`, and so on.

    Raises:
        UserError: If the words have too few tokens, or the tokenizer merges words and name into one token.
    """
    prefix, suffix = tokenizer.affixes
    blank = " ".join(["X"] * (free if words else n_ctx))
    phrase = f"{blank} {words}".strip()
    before_name = f"{phrase} {name_template.partition('{}')[0]}".strip()
    fixed, placeholders = tokenizer.word_ids(before_name), tokenizer.word_ids(blank)
    # A placeholder may be several tokens, or two may be one, but each vector takes the position of one token.
    tokens = (placeholders * n_ctx)[: free if words else n_ctx] + fixed[len(placeholders) :]
    if len(tokens) < n_ctx:
        raise UserError(
            f"the words {phrase!r} are {len(tokens)} tokens, fewer than n_ctx={n_ctx}; use more words or fewer vectors"
        )
    context = list(zip(tokens[:n_ctx], range(n_ctx), strict=True))
    rows = []
    for name in map(underscores_to_spaces, classnames):
        text = f"{phrase} {format_template(name_template, name)}".lstrip()
        ids = tokenizer.word_ids(text)
        if ids[: len(fixed)] != fixed or fixed[: len(placeholders)] != placeholders:
            raise UserError(
                f"the tokenizer of backbone {tokenizer.name!r} joins {before_name!r} with the class name {name!r}, so "
                f"learned context has no position of its own; use other words or rename the class"
            )
        length = 0 if position == "end" else len(tokenizer.word_ids(f"{before_name} {name}")) - len(fixed)
        rest = [(token, -1) for token in tokens[n_ctx:] + ids[len(fixed) :]]
        before = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
        body = context[:before] + rest[:length] + context[before:] + rest[length:]
        row = tokenizer.check_fits([*prefix, *(token for token, _ in body), *suffix], text)
        slots = [-1] * len(prefix) + [slot for _, slot in body] + [-1] * len(suffix)
        rows += [(row, [slot + k * n_ctx if slot >= 0 else -1 for slot in slots]) for k in range(contexts)]
    return collate_rows(tokenizer, rows, contexts)
