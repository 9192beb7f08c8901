"""Segmentation models with a text prompt: CLIPSeg, SAM 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.errors import UserError
from cliptune.segmentation.make import SegmentationResults, Segmenter, classes_in, read_images
from cliptune.segmentation.pretrained import ModelFamily, PretrainedModel
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

CLIPSEG = ModelFamily(
    "clipseg", "CIDAS/clipseg-rd64-refined", "CLIPSegForImageSegmentation", "CLIPSegProcessor", ("clipseg",)
)
SAM3 = ModelFamily("sam3", "facebook/sam3", "Sam3Model", "Sam3Processor", ("sam3", "sam3_video"))


class TextSegmenter(Segmenter):
    """Segments what a prompt with the class name describes. An image with several classes gets the maximum over them.

    Args:
        loaded: A CLIPSeg or SAM 3 model.
        prompt: The prompt, with one {} for the class name. By default the bare name for SAM 3, which was trained on
            noun phrases, and the dataset's template for CLIPSeg, which was trained on sentences.
    """

    def __init__(self, loaded: PretrainedModel, prompt: str = ""):
        if prompt and prompt.count("{}") != 1:
            raise UserError(f"prompt {prompt!r} needs exactly one {{}} where the class name goes")
        self.loaded = loaded
        self.prompt = prompt or ("{}" if loaded.family == SAM3 else "")
        self.threshold = 0.4 if loaded.family == CLIPSEG else 0.5
        self.settings = {"with": loaded.family.name, "model": loaded.name, "prompt": self.prompt or "template"}

    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        readable, images, errors = read_images(dataset, examples)
        yield from ((example, errors[example.key]) for example in examples if example.key in errors)
        template = self.prompt or dataset.templates[0]
        words = [[template.replace("{}", name) for _, name in classes_in(dataset, e)] for e in readable]
        repeated = [image for image, few in zip(images, words, strict=True) for _ in few]
        logits = self._logits(repeated, [word for few in words for word in few]) if readable else torch.empty(0)
        parts = logits.split([len(few) for few in words])
        for example, image, part in zip(readable, images, parts, strict=True):
            whole = F.interpolate(part[None], image.shape[-2:], mode="bilinear")
            yield example, whole[0].sigmoid().amax(0)

    @torch.inference_mode()
    def _logits(self, images: list[Tensor], words: list[str]) -> Tensor:
        """Logits `(b, h, w)` of pairs of an image and a prompt, at the model's output size."""
        processor = self.loaded.processor
        pixels = processor.image_processor(images=images, return_tensors="pt", input_data_format="channels_first")
        # SAM 3 was trained with prompts of a fixed length and accepts no longer ones.
        length: dict[str, Any] = {"padding": True}
        if self.loaded.family == SAM3:
            length = {"padding": "max_length", "max_length": 32}
        tokens = processor.tokenizer(words, return_tensors="pt", truncation=True, **length)
        out = self.loaded.model(**self.loaded.to_inputs({**tokens, "pixel_values": pixels["pixel_values"]}))
        logits = out.semantic_seg if self.loaded.family == SAM3 else out.logits
        return logits.reshape(len(images), *logits.shape[-2:]).float()
