"""Tokenization as the text tower expects it: open_clip's token ids, with the positions of words and padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer, basic_clean, canonicalize_text
from torch import Tensor

from cliptune import checks
from cliptune.backbones import introspection
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

#: Marks of the end of a word in CLIP's vocabulary, and of its start in those of SentencePiece and byte-level BPE.
WORD_END = "</w>"
WORD_STARTS = ("▁", "Ġ")
#: Mark of a piece that continues a word in WordPiece.
CONTINUATION = "##"


class PromptTokenizer:
    """Texts to token ids, laid out as `prefix, words, suffix, padding, trailing ids` (or with the padding in front).

    Args:
        name: Name of the backbone, for messages.
        tokenizer: The tokenizer from open_clip.
        context_length: Length of a padded row.
        pool_type, eos_id: open_clip's settings of the position at which the text feature is read.
        full_length: Keep rows at their full length, for towers in which padding matters.
        untrained: Maps ids to those that did not occur in pretraining, for a model with a small vocabulary.
        vocab_size: Size of the text tower's vocabulary, 0 if unknown.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        context_length: int,
        pool_type: str = "argmax",
        eos_id: int = 2,
        full_length: bool = False,
        untrained: Callable[[Iterable[int]], set[int]] | None = None,
        vocab_size: int = 0,
    ):
        self.name, self.tokenizer, self.context_length = name, tokenizer, context_length
        self.pool_type, self.eos_id, self.full_length = pool_type, eos_id, full_length
        self._untrained, self._vocab_size = untrained, vocab_size

    @classmethod
    def of_tower(cls, name: str, text: Any, tokenizer: Any, context_length: int, untrained: Any) -> PromptTokenizer:
        """The tokenizer for the text tower `text` of an open_clip model; the other arguments are as for the class."""
        pool, eos = introspection.text_pooling(name, text)
        full = not introspection.accepts_text_prompts(text) or not introspection.is_causal(text)
        return cls(name, tokenizer, context_length, pool, eos, full, untrained, getattr(text, "vocab_size", 0))

    def __call__(self, text: str) -> list[int]:
        """Token ids of `text` without padding. Raises `UserError` if they do not fit into the context length."""
        return self.check_fits(self._unpadded(text), text)

    def check_fits(self, ids: list[int], text: str) -> list[int]:
        """Return `ids`; raise `UserError` if they exceed the context length or the tower's vocabulary."""
        largest = max([*ids, self.pad_id] if self.full_length else ids)
        if 0 < self._vocab_size <= largest:
            raise UserError(
                f"the tokenizer of backbone {self.name!r} returned token {largest}, but its text tower has "
                f"{self._vocab_size} tokens; use the tokenizer that the text tower was trained with"
            )
        available = self.context_length - len(self.trailing_ids)
        if len(ids) > available:
            short = text if len(text) <= 60 else text[:57] + "..."
            raise UserError(
                f"the sentence {short!r} has {len(ids)} tokens, but {self.name!r} accepts {available}; shorten the "
                f"class name or n_ctx"
            )
        return ids

    def padded_length(self, longest: int) -> int:
        """Length to pad rows of up to `longest` ids to, so that the pooled position is the same as in full rows."""
        if (
            self.full_length
            or self.left_padded
            or self.trailing_ids
            or self.pool_type not in ("argmax", "eos", "first")
        ):
            return self.context_length
        return min(longest + 1, self.context_length)  # one padding token may be the pooled one

    def pad_row(self, row: list[int], fill: int, trailing: Iterable[int], length: int) -> list[int]:
        """Pad `row` with `fill` to `length`; `trailing` follows the padding."""
        trailing = list(trailing)
        padding = [fill] * (length - len(row) - len(trailing))
        return padding + row if self.left_padded else row + padding + trailing

    def pool_index(self, ids: Tensor) -> Tensor:
        """Positions `(n,)` at which the features of rows `ids` `(n, length)` are read."""
        if self.pool_type == "argmax":
            return ids.argmax(-1)
        if self.pool_type == "eos":
            return (ids == self.eos_id).int().argmax(-1)
        return ids.new_full((len(ids),), 0 if self.pool_type == "first" else ids.shape[1] - 1)

    def word_ids(self, text: str) -> list[int]:
        """Token ids of `text` alone, without the special tokens around every text."""
        if self._is_clip:
            return self._reduced(text)[1:-1] if self.tokenizer.reduction_fn else self.tokenizer.encode(text)
        return list(self.tokenizer.tokenizer(self._clean(text), add_special_tokens=False).input_ids)

    def first_ids(self, phrase: str, n: int) -> list[int]:
        """The first `n` token ids of `phrase`. Raises `UserError` if there are fewer."""
        ids = self.word_ids(phrase)[:n]
        if len(ids) < n:
            raise UserError(
                f"the words {phrase!a} have {len(ids)} tokens with backbone {self.name!r}, fewer than {n}; use others"
            )
        return ids

    @property
    def affixes(self) -> tuple[list[int], list[int]]:
        """The ids before and after the words of every text. Raises `UserError` if words have no fixed position."""
        if self._affixes is None:
            raise UserError(
                f"with the tokenizer of backbone {self.name!r}, words have no fixed position in a sentence, which "
                f"learned context needs; use a method with fixed sentences, such as zeroshot or clip_adapter"
            )
        return self._affixes

    @property
    def context_start(self) -> int:
        """Position of the first word, 0 if it is not fixed."""
        return 0 if self._affixes is None else len(self._affixes[0])

    @cached_property
    def _affixes(self) -> tuple[list[int], list[int]] | None:
        words, ids = self.word_ids("a"), self._unpadded("a")
        starts = [i for i in range(len(ids) - len(words) + 1) if ids[i : i + len(words)] == words]
        if not words or not starts or self.left_padded:
            return None
        return ids[: starts[0]], ids[starts[0] + len(words) :]

    @property
    def pad_id(self) -> int:
        """The id of padding. Raises `UserError` if the tokenizer has none."""
        pad = 0 if self._is_clip else self.tokenizer.tokenizer.pad_token_id
        if pad is None:
            raise UserError(f"the tokenizer of backbone {self.name!r} has no padding token; set one in its files")
        return pad

    @property
    def trailing_ids(self) -> list[int]:
        """The ids after the padding."""
        return [self.tokenizer.tokenizer.cls_token_id] if self._is_clips else []

    @property
    def left_padded(self) -> bool:
        """Whether padding comes before the text."""
        return not self._is_clip and self.tokenizer.tokenizer.padding_side == "left" and not self._is_clips

    def decode(self, token: int) -> str:
        """The text of one token."""
        return (self.tokenizer if self._is_clip else self.tokenizer.tokenizer).decode([token]).strip()

    def unknown_ids(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that did not occur in pretraining, if that is known, or that represent unknown words."""
        if self._untrained is not None:
            return self._untrained(ids)
        return set() if self._is_clip else {self.tokenizer.tokenizer.unk_token_id} & set(ids)

    def check_names(self, classnames: Sequence[str]) -> None:
        """Warn of `name_problems`. Raises `UserError` for a name that is not one line of text."""
        checks.printable("class name", classnames)
        for problem in self.name_problems(classnames):
            warn_user(f"backbone {self.name!r} {problem}")

    def name_problems(self, classnames: Sequence[str]) -> list[str]:
        """Sentences about class names without tokens, with unknown tokens, or with the tokens of another name; the
        subject is the backbone."""
        problems, first = [], dict[tuple[int, ...], str]()
        for name in classnames:
            ids = self.word_ids(name.replace("_", " "))
            same, unknown = first.setdefault(tuple(ids), name), self.unknown_ids(ids)
            if unknown:
                pieces = ", ".join(repr(self.decode(token)) for token in sorted(unknown))
                problems.append(f"was not trained on {pieces} in the class name {name!r}")
            elif not ids:
                problems.append(f"finds no tokens in the class name {name!r}")
            elif same != name:
                problems.append(f"reads the class names {same!r} and {name!r} as the same")
        return problems

    def vocabulary(self, size: int) -> list[tuple[str, bool]]:
        """The text of the first `size` tokens, and whether each consists of letters and ends a word (CLIP) or begins
        one (others)."""
        if self._is_clip:
            pieces = [self.tokenizer.decoder.get(i, "") for i in range(size)]
            words = [piece.removesuffix(WORD_END) for piece in pieces]
            return [
                (word, _is_letters(word) and piece.endswith(WORD_END))
                for word, piece in zip(words, pieces, strict=True)
            ]
        own = self.tokenizer.tokenizer
        pieces = own.convert_ids_to_tokens(list(range(min(size, len(own)))))
        pieces = [piece or "" for piece in pieces] + [""] * (size - len(pieces))
        mark = next((mark for mark in WORD_STARTS if any(p.startswith(mark) for p in pieces)), "")
        texts = [piece.removeprefix(mark) for piece in pieces]
        starts = [p.startswith(mark) and not p.startswith(CONTINUATION) for p in pieces]
        return [(text, _is_letters(text) and begins) for text, begins in zip(texts, starts, strict=True)]

    @property
    def _is_clip(self) -> bool:
        """Whether this is CLIP's own byte-pair tokenizer."""
        return isinstance(self.tokenizer, SimpleTokenizer)

    @property
    def _is_clips(self) -> bool:
        """Whether sequences are laid out as in CLIPS: a class token after the padding."""
        return getattr(self.tokenizer, "tokenizer_mode", "") == "clips"

    @property
    def _clean(self) -> Callable[[str], str]:
        if isinstance(self.tokenizer, SigLipTokenizer):
            return lambda text: canonicalize_text(basic_clean(text))
        return self.tokenizer.clean_fn

    def _unpadded(self, text: str) -> list[int]:
        if self._is_clip:
            return [self.tokenizer.sot_token_id, *self.word_ids(text), self.tokenizer.eot_token_id]
        own = self.tokenizer.tokenizer
        if self._is_clips:
            return [own.bos_token_id, *self.word_ids(text), own.eos_token_id]
        ids = list(own(self._clean(text)).input_ids)
        if isinstance(self.tokenizer, HFTokenizer) and self.tokenizer.strip_sep_token:
            return [0 if i == own.sep_token_id else i for i in ids]
        return ids

    def _reduced(self, text: str) -> list[int]:
        """Token ids from a tokenizer that reduces long texts, given a length at which it keeps every token."""
        length = 4 * len(text.encode()) + 2
        try:
            ids = self.tokenizer([text], context_length=length)[0].tolist()
        except (ImportError, LookupError) as error:
            raise UserError(
                f"the tokenizer of backbone {self.name!r} selects words by syntax, which needs nltk and its data: "
                f"{error}"
            ) from None
        return ids[: max(i for i, token in enumerate(ids) if token) + 1]


def _is_letters(text: str) -> bool:
    return text.isascii() and text.isalpha()
