"""Learned context in words."""

from __future__ import annotations

from cliptune.analysis.words import nearest
from cliptune.backbones.backbone import Backbone
from cliptune.gallery.rows import Rows
from cliptune.results.context import InWords

#: What ends a token that ends a word.
END = "</w>"


def in_words(held: Rows, count: int = 3) -> list[InWords]:
    """For each row that learns context at the text tower's input, shared by all classes: the nearest words."""
    found = []
    for label, model in held.models.items():
        text = model.learner().text
        if text is None or text.ndim != 2:
            continue
        texts, usable = vocabulary(model.backbone)
        table = model.backbone.text.token_embedding.weight
        near = {
            how: nearest(text, table, texts.__getitem__, count=count, measure=how, usable=usable)  # type: ignore
            for how in ("euclidean", "cosine")
        }
        rows = {how: tuple(tuple((w.word, w.value) for w in row) for row in rows) for how, rows in near.items()}
        found.append(InWords(label, rows["euclidean"], rows["cosine"]))
    return found


def vocabulary(backbone: Backbone) -> tuple[list[str], list[bool]]:
    """Each token's text, and whether it is a whole word of letters that the model knows."""
    decoder = backbone.tokenizer.decoder
    tokens = [decoder.get(i, "") for i in range(backbone.text.token_embedding.weight.shape[0])]
    texts = [token.removesuffix(END) for token in tokens]
    usable = [
        token.endswith(END) and text.isascii() and text.isalpha() for token, text in zip(tokens, texts, strict=True)
    ]
    for i in backbone.unknown(range(len(tokens))):
        usable[i] = False
    return texts, usable
