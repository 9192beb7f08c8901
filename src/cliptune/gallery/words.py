"""Learned context in words."""

from __future__ import annotations

from cliptune.analysis.words import nearest
from cliptune.backbones.backbone import Backbone
from cliptune.gallery.rows import Rows
from cliptune.results.context import InWords


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
    pieces = backbone.encode.vocabulary(backbone.text.token_embedding.weight.shape[0])
    unknown = backbone.encode.unknown(range(len(pieces)))
    return [text for text, _ in pieces], [word and i not in unknown for i, (_, word) in enumerate(pieces)]
