"""Measure the feature shift that learned prompts cause in both towers, block by block."""

from __future__ import annotations

import torch

from cliptune import experiment
from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.data.loader import ExampleSet
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.feature_shift import relative_shifts
from cliptune.report.collect.confusion import WHOLE_TEST_SETS
from cliptune.report.collect.models import RestoredModels, first_test_set, sample_examples
from cliptune.report.prompt_words import FeatureShift

#: Number of test images over which the shift of the image tower is averaged.
NUM_IMAGES = 64
#: Template of the reference: fixed words before the class name, no image tokens.
PLAIN_TEMPLATE = "a photo of a {}."


@torch.no_grad()
def collect_feature_shifts(held: RestoredModels) -> list[FeatureShift]:
    """Relative change of the pooled tokens after each block (as in RESTORE), before training and after, for each model
    with tokens in both towers."""
    found = []
    for label, model in held.models.items():
        prompts = model.prompts()
        if not prompts.image or (prompts.text is None and not prompts.text_deep) or prompts.conditional is not None:
            continue
        start = experiment.untrained_model(held.runs[label], held.task).eval()
        (text0, image0), (text, image) = (_tower_shifts(one, held) for one in (start, model))
        found.append(FeatureShift(label, text, image, text0, image0))
    return found


def _tower_shifts(model: TunedModel, held: RestoredModels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shift of the text and the image tower after each block."""
    backbone, prompts = model.backbone, model.prompts()
    reference = tokenize_templates(backbone.prompt_tokenizer, (PLAIN_TEMPLATE,), model.classnames)
    _, text = backbone.encode_text_with_block_features(model.class_text.text, prompts)
    _, plain_text = backbone.encode_text_with_block_features(reference)
    name = first_test_set(held, WHOLE_TEST_SETS)
    chosen = sample_examples(held.task.tests[name].examples, NUM_IMAGES)
    views = ExampleSet(held.task.dataset, chosen, backbone.preprocess, preset=held.preset)
    images = next(views.in_order(len(chosen), backbone.logit_scale.device)).images
    _, image = backbone.encode_image_with_block_features(images, prompts.image, prompts.image_kv)
    _, plain_image = backbone.encode_image_with_block_features(images)
    text_shifts, image_shifts = relative_shifts(text, plain_text), relative_shifts(image, plain_image)
    return tuple(text_shifts.tolist()), tuple(image_shifts.tolist())
