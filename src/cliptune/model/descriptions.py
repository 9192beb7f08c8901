"""Sentences about each class, such as a language model writes, from a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.teacher import Teacher
from cliptune.backbones.tokenized_text import (
    TokenizedText,
    format_template,
    tokenize_fixed,
    underscores_to_spaces,
)
from cliptune.errors import UserError, shown
from cliptune.files import read_text
from cliptune.text import listed
from cliptune.types import State
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from cliptune.backbones.prompt_tokenizer import PromptTokenizer

#: Start of the random streams that draw sentences; those of images and of their order have other numbers.
SENTENCES = 1 << 61


@dataclass(frozen=True)
class Descriptions:
    """Sentences by class name, as `normalised`. path: The file, "" for none."""

    path: str
    sentences: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: str) -> Descriptions:
        """Read a JSON object of class names -> lists of sentences; "" has none. Raises `UserError`."""
        if not path:
            return cls("", {})
        try:
            pairs = json.loads(read_text(path), object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} is not valid JSON ({error}); write an object of names and sentences") from None
        if not isinstance(pairs, _Pairs):
            raise UserError(
                f'{path} must be a JSON object such as {{"cat": ["a cat has whiskers."]}}, got {shown(pairs)}'
            )
        found: dict[str, tuple[str, ...]] = {}
        for name, sentences in pairs:
            key = normalised(name)
            if key in found:
                raise UserError(
                    f"{path} has {name!r} twice, as case and underscores do not count; merge the lists of sentences"
                )
            found[key] = _checked(path, name, sentences)
        return cls(path, found)

    def of(self, classnames: Sequence[str], template: str) -> list[tuple[str, ...]]:
        """The sentences of each class. Names without any get `template`, with a warning."""
        if missing := [name for name in classnames if normalised(name) not in self.sentences]:
            warn_user(self._missing(missing, classnames, template))
        return [
            self.sentences.get(normalised(name)) or (format_template(template, underscores_to_spaces(name)),)
            for name in classnames
        ]

    def tokenized(self, tokenizer: PromptTokenizer, classnames: Sequence[str], template: str) -> TokenizedText:
        """The sentences of all classes, consecutive for each. Raises `UserError` for one that is too long."""
        rows = self.of(classnames, template)
        for name, sentences in zip(classnames, rows, strict=True):
            for number, sentence in enumerate(sentences, 1):
                try:
                    tokenizer(sentence)
                except UserError as error:
                    raise UserError(
                        f"sentence {number} of {name!r} in {self.path or 'the template'} does not fit: {error}"
                    ) from None
        text = tokenize_fixed(tokenizer, [sentence for sentences in rows for sentence in sentences])
        counts = [len(sentences) for sentences in rows]
        if len({*counts}) == 1:
            return replace(text, per_class=counts[0])
        return replace(text, owner=torch.arange(len(rows)).repeat_interleave(torch.tensor(counts)))

    def _missing(self, missing: Sequence[str], classnames: Sequence[str], template: str) -> str:
        if not self.path:
            return f"no file of sentences about the classes is set (descriptions), so that {template!r} is used instead"
        known = {normalised(name) for name in classnames}
        others = [name for name in self.sentences if name not in known]
        note = f"; it has other names: {listed(others)}" if others else ""
        return f"{self.path} has no sentences for {listed(missing)}, so that {template!r} is used instead{note}"


class _Pairs(list[tuple[str, Any]]):
    """The entries of a JSON object, also those with the same name."""


def normalised(name: str) -> str:
    """A class name without differences that do not count: case, underscores, repeated spaces."""
    return " ".join(underscores_to_spaces(name).split()).casefold()


def _checked(path: str, name: str, sentences: object) -> tuple[str, ...]:
    """The sentences of one entry of the file. Raises `UserError`."""
    if isinstance(sentences, _Pairs) or not isinstance(sentences, list):
        got = "an object" if isinstance(sentences, _Pairs) else shown(sentences)
        raise UserError(f"{path}: the entry of {name!r} must be a list of sentences, got {got}")
    if not sentences:
        raise UserError(f"{path}: the entry of {name!r} is empty; add a sentence, or remove the entry")
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise UserError(f"{path}: the entry of {name!r} must have sentences, got {shown(sentence)}")
    return tuple(sentences)


@dataclass(frozen=True)
class SentenceTeacher:
    """The frozen model, and its features of sentences about each class.

    sentences: Normalised features `(n_c, d)` per class. seed: Decides which sentences `text` draws.
    """

    backbone: Backbone
    sentences: tuple[Tensor, ...]
    seed: int = 0

    @classmethod
    @torch.no_grad()
    def of(
        cls, backbone: Backbone, path: str, classnames: Sequence[str], template: str, seed: int = 0
    ) -> SentenceTeacher:
        """The teacher with the sentences of the file `path`, or `template` for names without any."""
        text = Descriptions.read(path).tokenized(backbone.prompt_tokenizer, classnames, template)
        features = normalise(backbone.encode_text(text))
        sizes = [text.per_class] * len(classnames) if text.owner is None else text.owner.bincount().tolist()
        return cls(backbone, features.split(sizes), seed)

    def image(self, images: Tensor) -> Tensor:
        """Normalised features `(b, d)` of images `(b, 3, H, W)`."""
        return Teacher(self.backbone, self.sentences[0]).image(images)

    def share(self, state: State) -> float:
        """A number in [0, 1) for a step of training, the same for all classes and in all processes."""
        return np.random.Generator(
            np.random.Philox(key=[self.seed, SENTENCES + (state.epoch << 32) + state.step])
        ).random()

    def text(self, state: State) -> Tensor:
        """The feature `(C, d)` of one sentence per class: of the same index for classes with equally many."""
        share = self.share(state)
        return torch.stack([features[int(share * len(features))] for features in self.sentences])
