"""What `ct.train` and `ct.load` return: a tuned model with its run."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from cliptune import claims, config, experiment, presets
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import tags
from cliptune.data import sources
from cliptune.data.given import Given, one_by_one, stacked
from cliptune.data.objects import opened, opened_to_test, spec_of
from cliptune.data.transforms import evaluation, normalise
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.base import Method
from cliptune.model import TunedModel
from cliptune.official.file import Held, read
from cliptune.official.kinds import recognise
from cliptune.official.rebuild import TEMPLATES, rebuild
from cliptune.types import Example, Picture, Result, TestSet

#: Images that are decoded and answered at a time.
BATCH = 64


class Tuned:
    """A trained run: evaluate it, ask it about pictures, give it other classes, save it.

    run: its configuration. model: the `TunedModel`. result: metrics and history, or None if it was loaded.
    """

    def __init__(self, model: TunedModel, run: config.Run, result: Result | None = None):
        self.model, self.run, self.result = model.eval(), run, result

    @property
    def classnames(self) -> tuple[str, ...]:
        return self.model.classnames

    def evaluate(self, data: Any = None, watchers: Sequence[Watcher] = (), **reading: Any) -> dict[str, float]:
        """Accuracy in percent on the run's own test sets, or on all classes of other data: "folder:PATH", a dataset, or
        a torch dataset. All of it is tested, unless it has a test part of its own or holds pictures
        that the run was trained on.

        reading: where pictures are and how they are read, where it differs from training (root="/data").
        """
        run = config.with_options(self.run, reading)
        if data is None and not reading and self.result is not None:
            return dict(self.result.metrics)
        if data is None and not run.data:
            raise UserError("a checkpoint does not say its data; say what to evaluate on: data='folder:PATH'")
        held = None if data is None or isinstance(data, str) else opened_to_test(data, self.classnames)
        spec = data if held is None else spec_of(held)
        dataset = None if held is None else sources.told(held, run.reading)
        spoken = reading.get("templates", ())  # by default as in training
        model = self.model.with_classes(self.classnames, spoken) if spoken else self.model
        if spec is None or (held is not None and spec == run.data):
            task = experiment.task_of(run, dataset)
            if task.classnames != self.classnames:
                raise UserError(
                    "these are not the classes the run was trained on; say what to evaluate on: data='folder:PATH'"
                )
            return experiment.measure(model, task, watchers, run.training)
        elsewhere = dataclasses.replace(run.reading, draws="")  # they are of the data it was trained on
        few = config.Run(run.method, data=spec, shots=1, seed=run.seed, training=run.training, reading=elsewhere)
        other = experiment.task_of(few, dataset)
        whole, tested = tuple(other.dataset.tested()), other.tests["test"].examples
        tested = whole if whole != tested and not self._knows(whole) else tested
        other = dataclasses.replace(other, tests={"test": TestSet(tested, other.classnames, other.dataset)})
        model.with_classes(other.classnames)  # a model that cannot take them says so
        return experiment.measure(model, other, watchers, run.training)

    def _knows(self, examples: Sequence[Example]) -> bool:
        """Whether some of these picture files are in the data it was trained on."""
        with suppress(UserError), warnings.catch_warnings(action="ignore"):
            own = experiment.dataset_of(self.run)
            trained = {e.path.resolve() for e in (*own.examples("train"), *own.examples("val")) if e.path is not None}
            return any(e.path is not None and e.path.resolve() in trained for e in examples)
        return False

    def predict(self, pictures: Given | Iterable[Given], top_k: int = 1):
        """The most probable class of an image as `(name, probability)`; a list of them, in the same order, for several.

        pictures: an image or an iterable of images, read a batch at a time: paths, bytes of image files, files opened
        with "rb", PIL images, uint8 arrays `(H, W, C)` or `(H, W)`, uint8 tensors `(C, H, W)`; or float arrays and
        tensors in [0, 1], not normalised. An array or a tensor of four dimensions is a batch of images.
        top_k: above 1, a list of the `top_k` most probable classes instead, most probable first.
        Raises `UserError` for what is no image, naming it.
        """
        if top_k < 1:
            raise UserError(f"top_k must be at least 1, got {top_k}")
        _, single = one_by_one(pictures)
        best = self.logits(pictures).softmax(-1).topk(min(top_k, len(self.classnames)))
        rows = [
            [(self.classnames[i], p) for p, i in zip(*pair, strict=True)]
            for pair in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        answers = [row[0] for row in rows] if top_k == 1 else rows
        return answers[0] if single else answers

    @torch.no_grad()
    def logits(self, pictures: Given | Iterable[Given]) -> Tensor:
        """Logits `(n, n_classes)` of images, of every kind that `predict` takes."""
        classes = len(self.classnames)
        return torch.cat([self.model({"image": views}).logits[:, :classes] for views in self._views(pictures)])

    @torch.no_grad()
    def image_features(self, images: Given | Iterable[Given]) -> Tensor:
        """L2-normalised image features `(n, embed_dim)` by the tuned image tower, of every kind that `predict` takes.

        Learned image tokens and adapters are in them. With `text_features` they give the scaled cosines that most
        methods classify by: `logit_scale * image_features(images) @ text_features().T`. Methods that learn a head
        (`linear_probe`, `tip_adapter`, `tip_adapter_f`) add to these or replace them; `logits` is then what counts.
        """
        prompts = self.model.prompts()
        return torch.cat([self.model.image_side({"image": views}, prompts)["image"] for views in self._views(images)])

    @torch.no_grad()
    def text_features(self) -> Tensor:
        """L2-normalised text features `(n_classes, embed_dim)` of the classes.

        They are the whole classifier of methods that leave the image tower alone; of others, images go through
        `image_features`. Raises `UserError` for methods whose sentences depend on the image (`cocoop`).
        """
        return self.model.text_side()[0]

    def _views(self, images: Given | Iterable[Given]) -> Iterator[Tensor]:
        """Normalised evaluation views of images, `BATCH` at a time."""
        backbone, augment = self.model.backbone, self.run.training.augment
        preprocess, device = backbone.preprocess, backbone.logit_scale.device

        def view(picture: Picture) -> Tensor:
            return evaluation(to_pil_image(picture.image), preprocess, augment)

        for pixels in stacked(images, view, BATCH):
            yield normalise(pixels.to(device), preprocess.mean, preprocess.std)

    def with_classes(self, classnames: Sequence[str]) -> Tuned:
        """The same tuned model for other class names; nothing is trained."""
        if len(classnames) < 2:
            raise UserError(f"classification needs at least two class names, got {list(classnames)}")
        return Tuned(self.model.with_classes(classnames), self.run)

    def save(self, path: str | Path) -> Path:
        """Write the learned tensors (kilobytes); a folder gets a `checkpoint.safetensors`."""
        path = Path(path)
        path = path if path.suffix == ".safetensors" else path / claims.CHECKPOINT
        experiment.save(path, self.run, self.model)
        return path


def train(
    method: str | Method,
    data: Any = "emoji",
    *,
    shots: int = 16,
    backbone: str = "tiny",
    pretrained: str = "",
    seed: int = 1,
    protocol: str = "few_shot",
    preset: str = "auto",
    out: str | Path | None = None,
    watchers: Sequence[Watcher] = (),
    **options: Any,
) -> Tuned:
    """Tune a CLIP on a few pictures a class.

    method: a name such as "maple+dapt", or a method object. data: "emoji", "folder:PATH", a torch dataset of
    (image, label) that has `classes`, or what `from_torch` makes of any. out: a folder for checkpoint and result, also
    for going on after a kill. options: any field of the run, its training or its method (epochs=5, n_ctx=4,
    pull_push=4).
    The method's preset gives what is left unsaid: the published settings, "none", or another of its files over them.
    Raises `UserError`.
    """
    held = None if isinstance(data, str) else opened(data)
    base = {
        "data": data if held is None else spec_of(held),
        "shots": shots,
        "backbone": backbone,
        "pretrained": pretrained,
        "seed": seed,
        "protocol": protocol,
    }
    if isinstance(method, Method):
        run = config.Run(method, **base)  # type: ignore[arg-type]
    else:
        run = presets.get(method, preset, **base)
    run = config.with_options(run, options)
    task = None if held is None else experiment.task_of(run, sources.told(held, run.reading))
    model, result = experiment.execute(run, None if out is None else Path(out), watchers=watchers, task=task)
    # A method that searches goes on with what it found, which is what the tensors belong to.
    return Tuned(model, dataclasses.replace(run, method=model.method), result)


def load(path: str | Path, backbone: Backbone | None = None) -> Tuned:
    """A tuned model from a run's folder or checkpoint file. Raises `UserError` if it cannot be used."""
    return Tuned(*experiment.restore(Path(path), backbone))


def import_checkpoint(
    path: str | Path | Held,
    *,
    method: str = "",
    backbone: str = "ViT-B-16",
    pretrained: str = "",
    classes: str | Path | Sequence[str] = (),
    templates: Sequence[str] = TEMPLATES,
    **options: Any,
) -> Tuned:
    """A tuned model from a checkpoint of the authors' code, `model.pth.tar-5` or `model-best.pth.tar`.

    path: the file, of which no code runs; of CoOp, CoCoOp, KgCoOp, ProGrad, VPT, IVLP, MaPLe, PromptSRC, RESTORE, DPL
    or DAPT. method: its name, where several keep the same tensors. backbone, pretrained: the CLIP it was trained on; an
    open_clip name without weights gets OpenAI's. classes: names in the order of training, or a file with one a line;
    where left out, they are read from the sentences that most files keep. templates: the dataset's own. options: fields
    of the method that tensors do not tell (words, position, compat). Raises `UserError`.
    """
    held = path if isinstance(path, Held) else read(Path(path))
    name = recognise(held, method)
    pretrained = pretrained or ("openai" if "openai" in tags(backbone) else "")
    frozen = experiment.backbone_of(backbone, pretrained)
    model, run = rebuild(held, name, frozen, options, _listed(classes), templates)
    return Tuned(model, dataclasses.replace(run, backbone=backbone, pretrained=pretrained))


def _listed(names: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Class names given one by one, with commas between them, or as a file with one a line."""
    if not isinstance(names, (str, Path)):
        return tuple(names)
    file = Path(names).expanduser()
    try:
        listed = file.read_text(encoding="utf-8").splitlines() if file.is_file() else str(names).split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"class names cannot be read from {file} ({type(error).__name__}); give UTF-8 text") from None
    return tuple(name.strip() for name in listed if name.strip())
