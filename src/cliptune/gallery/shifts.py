"""How far learned prompts move either tower, layer by layer."""

from __future__ import annotations

from dataclasses import replace

import torch

from cliptune import experiment
from cliptune.backbones.sentences import from_templates
from cliptune.data.loader import ExampleSet
from cliptune.gallery.classes import WHOLE
from cliptune.gallery.rows import Rows, first_of, spread
from cliptune.model import TunedModel
from cliptune.objectives.feature_shift import shifts
from cliptune.results.context import Shift
from cliptune.types import Prompts, Trail

#: Test pictures that the image tower's shift is a mean over.
PICTURES = 64
#: What both towers' shift is measured from: these words before the class name, no image tokens.
PLAIN = "a photo of a {}."


@torch.no_grad()
def feature_shifts(held: Rows) -> list[Shift]:
    """For each row with tokens in both towers: the relative change of pooled tokens after each block, as RESTORE
    measures it, before the first step and as trained."""
    found = []
    for label, model in held.models.items():
        prompts = model.prompts()
        if not prompts.image or (prompts.text is None and not prompts.text_deep) or prompts.conditional is not None:
            continue
        start = experiment.model_of(held.runs[label], held.task).eval()
        (text0, image0), (text, image) = (_both(one, held) for one in (start, model))
        found.append(Shift(label, text, image, text0, image0))
    return found


def _both(model: TunedModel, held: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shift of the text tower and of the image tower after each of their blocks."""
    backbone, prompts, trail, plain = model.backbone, model.prompts(), Trail(), Trail()
    backbone.class_features(model._sentences, replace(prompts, trail=trail))
    backbone.encode_text(from_templates(backbone.encode, (PLAIN,), model.classnames), Prompts(trail=plain))
    name = first_of(held, WHOLE)
    chosen = spread(held.task.tests[name].examples, PICTURES)
    views = ExampleSet(held.task.dataset, chosen, backbone.preprocess, preset=held.preset)
    images = next(views.in_order(len(chosen), backbone.logit_scale.device)).images
    backbone.encode_image(images, prompts.image, trail.image, prompts.image_kv)
    backbone.encode_image(images, (), plain.image)
    return tuple(shifts(trail.text, plain.text).tolist()), tuple(shifts(trail.image, plain.image).tolist())
