"""Analyse learned prompts: the nearest words to context vectors, and the feature shift in both towers."""

from __future__ import annotations

import torch

from cliptune import experiment
from cliptune.analysis.nearest_words import nearest_words
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.data.loader import ExampleSet
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.feature_shift import relative_shifts
from cliptune.report.collect.models import WHOLE_TEST_SETS, RestoredModels, first_test_set, sample_examples
from cliptune.report.report_data import FeatureShift, PromptWords

#: Number of test images over which the shift of the image tower is averaged.
NUM_IMAGES = 64
#: Template of the reference: fixed words before the class name, no image tokens.
PLAIN_TEMPLATE = "a photo of a {}."


@torch.no_grad()
def collect_feature_shifts(restored: RestoredModels) -> list[FeatureShift]:
    """Relative change of the pooled tokens after each block (as in RESTORE), before training and after, for each model
    with tokens in both towers."""
    collected = []
    for label, model in restored.models.items():
        prompts = model.prompts()
        text_tokens = prompts.text is not None or prompts.text_deep or prompts.text_inserted
        if not prompts.image or not text_tokens or prompts.conditional is not None:
            continue
        start = experiment.untrained_model(restored.runs[label], restored.task).eval()
        (text0, image0), (text, image) = (_tower_shifts(m, restored) for m in (start, model))
        collected.append(FeatureShift(label, text, image, text0, image0))
    return collected


def _tower_shifts(model: TunedModel, restored: RestoredModels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shift of the text and the image tower after each block."""
    backbone, prompts = model.backbone, model.prompts()
    reference = tokenize_templates(backbone.prompt_tokenizer, (PLAIN_TEMPLATE,), model.classnames)
    _, text = backbone.encode_text_with_block_features(model.class_text.text, prompts)
    _, plain_text = backbone.encode_text_with_block_features(reference)
    name = first_test_set(restored, WHOLE_TEST_SETS)
    examples = sample_examples(restored.task.tests[name].examples, NUM_IMAGES)
    views = ExampleSet(restored.task.dataset, examples, backbone.preprocess, preset=restored.preset)
    images = next(views.in_order(len(examples), backbone.logit_scale.device)).images
    image = backbone.encode_image_parts(images, model.prompts_for(images, prompts), blocks=True).blocks
    plain_image = backbone.encode_image_parts(images, blocks=True).blocks
    text_shifts, image_shifts = relative_shifts(text, plain_text), relative_shifts(image, plain_image)
    return tuple(text_shifts.tolist()), tuple(image_shifts.tolist())


def collect_prompt_words(restored: RestoredModels, count: int = 3) -> list[PromptWords]:
    """The `count` nearest words of each model with learned context that is shared by all classes."""
    collected = []
    for label, model in restored.models.items():
        text = model.prompts().text
        if text is None or text.ndim != 2:
            continue
        texts, usable = token_words(model.backbone)
        embeddings = model.backbone.text.token_embedding.weight
        nearest = {
            measure: nearest_words(text, embeddings, texts.__getitem__, count=count, measure=measure, usable=usable)  # type: ignore
            for measure in ("euclidean", "cosine")
        }
        rows = {
            measure: tuple(tuple((w.word, w.value) for w in row) for row in rows) for measure, rows in nearest.items()
        }
        collected.append(PromptWords(label, rows["euclidean"], rows["cosine"]))
    return collected


def token_words(backbone: Backbone) -> tuple[list[str], list[bool]]:
    """Text of each token, and whether it is a whole word of letters known to the model."""
    pieces = backbone.prompt_tokenizer.vocabulary(backbone.text.token_embedding.weight.shape[0])
    unknown = backbone.prompt_tokenizer.unknown_ids(range(len(pieces)))
    return [text for text, _ in pieces], [word and i not in unknown for i, (_, word) in enumerate(pieces)]
