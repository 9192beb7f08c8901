"""How a backbone reads text: token ids as open_clip's tokenizer gives them, and which of them are words."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer, basic_clean, canonicalize_text
from torch import Tensor

from cliptune.errors import UserError

#: What marks the end of a word in CLIP's pieces, and the begin of one in those of SentencePiece and byte-level BPE.
WORD_END = "</w>"
WORD_STARTS = ("▁", "Ġ")
#: What continues a word in WordPiece, whose other pieces begin one.
CONTINUATION = "##"


class PromptTokenizer:
    """Sentences to token ids, in the layout `lead, words, tail, padding, last` (or with the padding in front).

    tokenizer: open_clip's. context_length: of a padded row. pool_type, eos_id: open_clip's, which say at what position
    the text feature is read. whole: padding counts, as the tower sees it, so that rows are kept at their full length.
    untrained: ids -> those of them that pretraining never saw, for a model of small vocabulary. tokens: how many the
    tower knows, 0 if that is not said.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        context_length: int,
        pool_type: str = "argmax",
        eos_id: int = 2,
        whole: bool = False,
        untrained: Callable[[Iterable[int]], set[int]] | None = None,
        tokens: int = 0,
    ):
        self.name, self.tokenizer, self.context_length = name, tokenizer, context_length
        self.pool_type, self.eos_id, self.whole, self._untrained = pool_type, eos_id, whole, untrained
        self._tokens = tokens

    def __call__(self, text: str) -> list[int]:
        """Token ids from the first to the last that is no padding. Raises `UserError` if they do not fit."""
        return self.fitting(self._unpadded(text), text)

    def fitting(self, ids: list[int], text: str) -> list[int]:
        """`ids` of `text`, or `UserError` where a row does not hold them, or the tower does not know them."""
        largest = max([*ids, self.pad] if self.whole else ids)
        if 0 < self._tokens <= largest:
            raise UserError(
                f"the tokenizer of backbone {self.name!r} gives token {largest}, but its text tower knows "
                f"{self._tokens} tokens: they do not belong together"
            )
        room = self.context_length - len(self.last)
        if len(ids) > room:
            short = text if len(text) <= 60 else text[:57] + "..."
            raise UserError(
                f"the sentence {short!r} takes {len(ids)} tokens, but {self.name!r} reads {room}; "
                f"shorten the class name or n_ctx"
            )
        return ids

    def length(self, longest: int) -> int:
        """Length to which rows of up to `longest` ids are padded, so that the pooled position is that of full rows."""
        if self.whole or self.left_padded or self.last or self.pool_type not in ("argmax", "eos", "first"):
            return self.context_length
        return min(longest + 1, self.context_length)  # one padding token may be the pooled one

    def padded(self, row: list[int], fill: int, last: Iterable[int], length: int) -> list[int]:
        """`row` of ids, or of what stands beside them, filled up to `length`; `last` comes after the padding."""
        last = list(last)
        space = [fill] * (length - len(row) - len(last))
        return space + row if self.left_padded else row + space + last

    def pooled(self, ids: Tensor) -> Tensor:
        """Positions `(n,)` at which the features of rows `ids` `(n, length)` are read."""
        if self.pool_type == "argmax":
            return ids.argmax(-1)
        if self.pool_type == "eos":
            return (ids == self.eos_id).int().argmax(-1)
        return ids.new_full((len(ids),), 0 if self.pool_type == "first" else ids.shape[1] - 1)

    # -- the parts of a sentence --------------------------------------------------------------------------------------

    def words(self, text: str) -> list[int]:
        """Token ids of `text` alone, without those that the tokenizer puts around every sentence."""
        if self._clip:
            return self._reduced(text)[1:-1] if self.tokenizer.reduction_fn else self.tokenizer.encode(text)
        return list(self.tokenizer.tokenizer(self._clean(text), add_special_tokens=False).input_ids)

    @property
    def frame(self) -> tuple[list[int], list[int]]:
        """The ids before and after the words of every sentence. Raises `UserError` where words have no fixed place."""
        if self._frame is None:
            raise UserError(
                f"the tokenizer of backbone {self.name!r} gives words no fixed place in a sentence, which learned "
                f"context needs; take a method of fixed sentences, such as zeroshot or clip_adapter"
            )
        return self._frame

    @property
    def lead(self) -> int:
        """The position of the first word, 0 where it has no fixed one."""
        return 0 if self._frame is None else len(self._frame[0])

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]] | None:
        words, ids = self.words("a"), self._unpadded("a")
        starts = [i for i in range(len(ids) - len(words) + 1) if ids[i : i + len(words)] == words]
        if not words or not starts or self.left_padded:
            return None
        return ids[: starts[0]], ids[starts[0] + len(words) :]

    @property
    def pad(self) -> int:
        """The id of padding. Raises `UserError` where the tokenizer has none."""
        pad = 0 if self._clip else self.tokenizer.tokenizer.pad_token_id
        if pad is None:
            raise UserError(f"the tokenizer of backbone {self.name!r} has no padding token; set one in its files")
        return pad

    @property
    def last(self) -> list[int]:
        """The ids after the padding."""
        return [self.tokenizer.tokenizer.cls_token_id] if self._clips else []

    @property
    def left_padded(self) -> bool:
        return not self._clip and self.tokenizer.tokenizer.padding_side == "left" and not self._clips

    # -- the vocabulary -----------------------------------------------------------------------------------------------

    def spelled(self, token: int) -> str:
        """The text of one token."""
        return (self.tokenizer if self._clip else self.tokenizer.tokenizer).decode([token]).strip()

    def unknown(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that pretraining never saw, where that is known, or that stand for unknown words."""
        if self._untrained is not None:
            return self._untrained(ids)
        return set() if self._clip else {self.tokenizer.tokenizer.unk_token_id} & set(ids)

    def check_names(self, classnames: Sequence[str]) -> None:
        """Warn of class names of which nothing, unknown tokens or the same as of another are left."""
        first: dict[tuple[int, ...], str] = {}
        for name in classnames:
            ids, complaint = self.words(name.replace("_", " ")), ""
            same, strange = first.setdefault(tuple(ids), name), self.unknown(ids)
            if strange:
                pieces = ", ".join(repr(self.spelled(token)) for token in sorted(strange))
                complaint = f"never saw {pieces} of the class name {name!r}"
            elif not ids:
                complaint = f"reads nothing in the class name {name!r}"
            elif same != name:
                complaint = f"reads the class names {same!r} and {name!r} as the same"
            if complaint:
                warnings.warn(f"backbone {self.name!r} {complaint}", stacklevel=4)

    def vocabulary(self, size: int) -> list[tuple[str, bool]]:
        """The text of the first `size` tokens, and whether each is a piece of letters that ends a word (CLIP) or
        begins one (others)."""
        if self._clip:
            pieces = [self.tokenizer.decoder.get(i, "") for i in range(size)]
            return [
                (p.removesuffix(WORD_END), _letters(p.removesuffix(WORD_END)) and p.endswith(WORD_END)) for p in pieces
            ]
        own = self.tokenizer.tokenizer
        pieces = own.convert_ids_to_tokens(list(range(min(size, len(own)))))
        pieces = [piece or "" for piece in pieces] + [""] * (size - len(pieces))
        mark = next((mark for mark in WORD_STARTS if any(p.startswith(mark) for p in pieces)), "")
        texts = [piece.removeprefix(mark) for piece in pieces]
        starts = [p.startswith(mark) and not p.startswith(CONTINUATION) for p in pieces]
        return [(text, _letters(text) and begins) for text, begins in zip(texts, starts, strict=True)]

    # -- open_clip's tokenizers ---------------------------------------------------------------------------------------

    @property
    def _clip(self) -> bool:
        return isinstance(self.tokenizer, SimpleTokenizer)

    @property
    def _clips(self) -> bool:
        return getattr(self.tokenizer, "tokenizer_mode", "") == "clips"

    @property
    def _clean(self) -> Callable[[str], str]:
        if isinstance(self.tokenizer, SigLipTokenizer):
            return lambda text: canonicalize_text(basic_clean(text))
        return self.tokenizer.clean_fn

    def _unpadded(self, text: str) -> list[int]:
        if self._clip:
            return [self.tokenizer.sot_token_id, *self.words(text), self.tokenizer.eot_token_id]
        own = self.tokenizer.tokenizer
        if self._clips:
            return [own.bos_token_id, *self.words(text), own.eos_token_id]
        ids = list(own(self._clean(text)).input_ids)
        if isinstance(self.tokenizer, HFTokenizer) and self.tokenizer.strip_sep_token:
            return [0 if i == own.sep_token_id else i for i in ids]
        return ids

    def _reduced(self, text: str) -> list[int]:
        """What a tokenizer with a reduction makes of a text where it has room for every token."""
        room = 4 * len(text.encode()) + 2
        try:
            ids = self.tokenizer([text], context_length=room)[0].tolist()
        except (ImportError, LookupError) as error:
            raise UserError(
                f"the tokenizer of backbone {self.name!r} picks words by syntax, which needs nltk and its data: {error}"
            ) from None
        return ids[: max(i for i, token in enumerate(ids) if token) + 1]


def _letters(text: str) -> bool:
    return text.isascii() and text.isalpha()
