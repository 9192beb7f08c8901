"""Find the nearest words to learned context."""

from __future__ import annotations

from cliptune.analysis.nearest_words import nearest_words
from cliptune.backbones.backbone import Backbone
from cliptune.report.collect.models import RestoredModels
from cliptune.report.prompt_words import PromptWords


def collect_prompt_words(held: RestoredModels, count: int = 3) -> list[PromptWords]:
    """The `count` nearest words of each model with learned context that is shared by all classes."""
    found = []
    for label, model in held.models.items():
        text = model.learner().text
        if text is None or text.ndim != 2:
            continue
        texts, usable = token_words(model.backbone)
        table = model.backbone.text.token_embedding.weight
        near = {
            how: nearest_words(text, table, texts.__getitem__, count=count, measure=how, usable=usable)  # type: ignore
            for how in ("euclidean", "cosine")
        }
        rows = {how: tuple(tuple((w.word, w.value) for w in row) for row in rows) for how, rows in near.items()}
        found.append(PromptWords(label, rows["euclidean"], rows["cosine"]))
    return found


def token_words(backbone: Backbone) -> tuple[list[str], list[bool]]:
    """Text of each token, and whether it is a whole word of letters known to the model."""
    pieces = backbone.prompt_tokenizer.vocabulary(backbone.text.token_embedding.weight.shape[0])
    unknown = backbone.prompt_tokenizer.unknown_ids(range(len(pieces)))
    return [text for text, _ in pieces], [word and i not in unknown for i, (_, word) in enumerate(pieces)]
