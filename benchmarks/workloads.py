"""The timed workloads, as the textbook and as cliptune compute them: ViT-B/16, random weights, float32."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load_backbone
from cliptune.backbones.teacher import Teacher
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import FOOD_BACKGROUNDS, GENERAL_BACKGROUNDS, RELEASE_COMPETING_WORDS, Dapt
from cliptune.methods.maple import Maple
from cliptune.methods.promptsrc import PromptSrc
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency import gradcam
from cliptune.types import Batch, State

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import textbook  # noqa: E402

#: Variant -> a call that does the work once and returns a number both variants must agree on.
Variants = dict[str, Callable[[], float]]
TEXTBOOK, OURS, CACHED = "textbook", "cliptune", "cliptune, cached features"
BATCH = 4
BACKGROUNDS = [f"a clean origami {word}." for word in (GENERAL_BACKGROUNDS + " " + FOOD_BACKGROUNDS).split()]
PULL_PUSH, ALIGNMENT = State(0, 10), State(7, 10)


def classnames(n: int) -> list[str]:
    """`n` of ImageNet's class names, evenly spaced in the list; they have one to six tokens."""
    names = list(open_clip.IMAGENET_CLASSNAMES)
    return [names[i * len(names) // n] for i in range(n)]


class Bench:
    """A backbone (ViT-B/16 with random weights if None), the depth of learned tokens, and fixed random images."""

    def __init__(self, backbone: Backbone | None = None, depth: int = 9):
        torch.manual_seed(0)
        self.backbone = backbone or load_backbone("ViT-B-16", "random")
        self.depth, self.prompts = depth, Maple(depth=depth)
        self.clip = self.backbone.model
        self.encode = self.backbone.prompt_tokenizer
        size = self.backbone.image_size
        self.images = torch.randn(100, 3, size, size)
        cells = (torch.rand(BATCH, 1, size // 16, size // 16) > 0.5).float()
        masks = cells.repeat_interleave(16, 2).repeat_interleave(16, 3)
        self.batch = Batch(self.images[:BATCH], torch.arange(BATCH), masks)

    def model(self, method: Method, classes: int) -> TunedModel:
        return TunedModel(self.backbone, method, classnames(classes))

    def ids(self, classes: int, words: str) -> torch.Tensor:
        return textbook.prompted(self.encode, words, classnames(classes))[0]

    # -- training steps -----------------------------------------------------------------------------------------------

    def coop(self, classes: int) -> Variants:
        model, batch = self.model(CoOp(), classes), self.batch
        ids, context = self.ids(classes, " ".join("X" * 16)), model.learner.text
        features = model.encode_views({"image": batch.images})["image"]
        return {
            TEXTBOOK: lambda: stepped(
                model, textbook.coop_step(self.clip, ids, context, batch.images, batch.labels)[0]
            ),
            OURS: lambda: trained(model, batch, PULL_PUSH),
            CACHED: lambda: trained(model, Batch(features, batch.labels), PULL_PUSH),
        }

    def maple(self, classes: int) -> Variants:
        model, batch = self.model(self.prompts, classes), self.batch
        ids, learner = self.ids(classes, "a photo of a"), model.learner
        text, project = list(learner.text), list(learner.to_image)
        return {
            TEXTBOOK: lambda: stepped(
                model, textbook.maple_step(self.clip, ids, text, project, batch.images, batch.labels)[0]
            ),
            OURS: lambda: trained(model, batch, PULL_PUSH),
        }

    def promptsrc(self, classes: int) -> Variants:
        """The teacher's class features, which are computed once before training, are random."""
        model, batch = self.model(PromptSrc(depth_text=self.depth, depth_image=self.depth), classes), self.batch
        ids, learner = self.ids(classes, "a photo of a"), model.learner
        text, image = list(learner.text), list(learner.image)
        generator = torch.Generator().manual_seed(0)
        frozen = textbook.unit(torch.randn(classes, self.backbone.embed_dim, generator=generator))
        state = State(0, 10, Teacher(self.backbone, frozen))
        return {
            TEXTBOOK: lambda: stepped(
                model, textbook.promptsrc_step(self.clip, ids, text, image, batch.images, batch.labels, frozen)[0]
            ),
            OURS: lambda: trained(model, batch, state),
        }

    def dapt(self, classes: int, state: State) -> Variants:
        model, batch = self.model(Dapt(base=self.prompts, compat="release"), classes), self.batch
        ids, background_ids = self.ids(classes, "a photo of a"), textbook.tokens(self.encode, BACKGROUNDS)
        text, project = list(model.learner.text), list(model.learner.to_image)

        def reference() -> float:
            loss, _ = textbook.dapt_step(
                self.clip,
                ids,
                background_ids,
                text,
                project,
                batch.images,
                batch.labels,
                batch.masks,
                state is PULL_PUSH,
                RELEASE_COMPETING_WORDS,
            )
            return stepped(model, loss)

        return {TEXTBOOK: reference, OURS: lambda: trained(model, batch, state)}

    # -- forward only ------------------------------------------------------------------------------------------------

    def evaluated(self, classes: int) -> torch.Tensor:
        """100 images, or 32 if the textbook's text features leave no memory for more."""
        return self.images[: 100 if classes < 1000 else 32]

    def evaluation(self, classes: int) -> Variants:
        model, images = self.model(self.prompts, classes), self.evaluated(classes)
        ids, learner = self.ids(classes, "a photo of a"), model.learner

        @torch.no_grad()
        def reference() -> float:
            labels = torch.zeros(len(images), dtype=torch.int64)
            step = textbook.maple_step(self.clip, ids, list(learner.text), list(learner.to_image), images, labels)
            return step[1].double().std().item()

        @torch.no_grad()
        def ours() -> float:
            model.eval()  # discards the text features
            return model({"image": images}).logits.double().std().item()

        return {TEXTBOOK: reference, OURS: ours}

    def text(self, classes: int) -> Variants:
        model = self.model(self.prompts, classes)
        ids, text = self.ids(classes, "a photo of a"), list(model.learner.text)

        @torch.no_grad()
        def reference() -> float:
            features = textbook.text_features(self.clip, ids, text[0], text[1:])
            return textbook.unit(features).double().std().item()

        @torch.no_grad()
        def ours() -> float:
            return model.encode_classes(PULL_PUSH)[0].double().std().item()

        return {TEXTBOOK: reference, OURS: ours}

    def vision(self) -> Variants:
        prompts, images = self.model(self.prompts, 10).learner(), self.batch.images

        @torch.no_grad()
        def run(features: Callable[[], torch.Tensor]) -> float:
            return textbook.unit(features()).double().std().item()

        return {
            TEXTBOOK: lambda: run(lambda: textbook.image_features(self.clip, images, prompts.image)),
            OURS: lambda: run(lambda: self.backbone.encode_image(images, prompts)),
        }

    def gradcam(self, classes: int) -> Variants:
        """One of many batches of masks, so cliptune's text features are computed already."""
        model, batch = self.model(Dapt(base=self.prompts, compat="release"), classes).eval(), self.batch
        ids, background_ids = self.ids(classes, "a photo of a"), textbook.tokens(self.encode, BACKGROUNDS)
        text, project = list(model.learner.text), list(model.learner.to_image)
        size = (self.backbone.image_size,) * 2

        def reference() -> float:
            model.zero_grad()
            return (
                textbook.gradcam(self.clip, ids, background_ids, text, project, batch.images, batch.labels)
                .mean()
                .item()
            )

        def ours() -> float:
            cam = gradcam.gradcam(model, batch.images, batch.labels)
            return gradcam.resize_and_normalize(cam, size, batch_maximum=True).mean().item()

        return {TEXTBOOK: reference, OURS: ours}

    def variants(self, name: str, classes: int) -> Variants:
        """The workload called `name` at this many classes."""
        if name == "vision":
            return self.vision()
        if name in ("pull-push", "alignment"):
            return self.dapt(classes, PULL_PUSH if name == "pull-push" else ALIGNMENT)
        return getattr(self, name)(classes)


def stepped(model: TunedModel, loss: torch.Tensor) -> float:
    model.zero_grad()
    loss.backward()
    return loss.item()


def trained(model: TunedModel, batch: Batch, state: State) -> float:
    losses = model.method.losses(model(model.method.views(batch), state), batch, state)
    return stepped(model, torch.stack(list(losses.values())).sum())
