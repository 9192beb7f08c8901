"""`Tuned`, a tuned model with its run, and `load`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_pil_image

from cliptune import (
    calibration,
    checks,
    config,
    evaluation_data,
    experiment,
    inspection,
    methods,
    model_io,
    run_dir,
    tasks,
)
from cliptune.analysis.calibration import FittedTemperature
from cliptune.analysis.inspection import Inspection
from cliptune.backbones.backbone import Backbone
from cliptune.data.image_inputs import ImageInput, batched_views, iterate_images
from cliptune.data.transforms import evaluation_view, standardise
from cliptune.engine.nan_checks import check_logits
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import check_file
from cliptune.html_repr import html_repr
from cliptune.model.export import export_open_clip
from cliptune.model.image_classifier import ImageClassifier
from cliptune.model.tuned_model import TunedModel
from cliptune.results import store
from cliptune.types import DecodedImage, Result, Task
from cliptune.user_warnings import warn_user

#: Number of images that are decoded and classified at a time.
BATCH_SIZE = 64


class Tuned:
    """A tuned model with its run: evaluate it, classify images, change its classes, save it.

    `train`, `load` and `import_checkpoint` return it.

    Args:
        model: The tuned model. It is set to evaluation mode.
        run: The configuration it was trained with.
        result: Metrics, history and cost of the run, or None if unknown.
        path: The folder or file that it was loaded from, or None.
        folder: The run directory, or None. By default `path`, if it is a run directory or its checkpoint.
    """

    def __init__(
        self,
        model: TunedModel,
        run: config.RunConfig,
        result: Result | None = None,
        path: Path | None = None,
        folder: Path | None = None,
    ):
        self.model, self.run, self.path, self._result = model.eval(), run, path, result
        if folder is None and path is not None and (path.is_dir() or path.name == run_dir.CHECKPOINT):
            folder = path if path.is_dir() else path.parent
        self.folder, self._fitted = folder, None

    def __repr__(self) -> str:
        known = self._result.metrics.items() if self._result is not None else ()
        metrics = "".join(f", {name} {value:.1f}" for name, value in known)
        name, data = methods.name_of(self.run.method), self.run.data
        return f"<Tuned {name} on {data}, {len(self.classnames):,} classes{metrics}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "runs:tuned_html")

    @property
    def result(self) -> Result | None:
        """Metrics, history and cost of the run; None for a checkpoint file without a record in its folder.

        Raises:
            UserError: If the record is damaged.
        """
        if self._result is None and self.path is not None:
            record = None if self.folder is None else self.folder / store.RESULT_FILE
            self._result = store.load_result(record) if record is not None and record.is_file() else None
        return self._result

    @property
    def temperature(self) -> FittedTemperature | None:
        """The temperature that `calibrate` fitted, now or earlier for the same run directory; None if it did not.

        Raises:
            UserError: If the file with it is damaged, or was written for another checkpoint.
        """
        if self._fitted is None and self.folder is not None:
            self._fitted = calibration.read_temperature(self.folder)
        return self._fitted

    @property
    def classnames(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of `logits`."""
        return self.model.classnames

    def evaluate(self, data: Any = None, watchers: Sequence[Watcher] = (), **reading: Any) -> dict[str, float]:
        """Measure the accuracy on the run's own test sets, or on other data.

        Args:
            data: Other data: a name such as "folder:PATH", a dataset, or a torch dataset. All of its images are tested
                unless it has a test split or contains images that the run was trained on; then its test split is.
                None: the test sets of the run.
            watchers: Receive the number of images done.
            **reading: Fields of `DataConfig` that differ from training, such as `root="/data"`.

        Returns:
            Accuracy in percent per test set: `{"test": 93.1}`, or `{"base": ..., "novel": ...}`.

        Raises:
            UserError: If the data cannot be found, or the method cannot be applied to its classes.
        """
        if data is None and not reading and self.path is None and self._result is not None:
            return dict(self._result.metrics)
        model, run, task = self._evaluation(data, reading)
        return experiment.evaluate_task(model, task, watchers, run.training)

    def predictions(self, data: Any = None, **options: Any) -> Any:
        """Predict the images of the run's own test sets, or of other data: one row per image.

        Args:
            data: As for `evaluate`.
            **options: As for `inspect`.

        Returns:
            `Inspection.predictions()`: a `pandas.DataFrame` if pandas is installed, otherwise a plain table.

        Raises:
            UserError: As `evaluate`.
        """
        return self.inspect(data, **options).predictions()

    def inspect(
        self,
        data: Any = None,
        *,
        all_images: bool = False,
        calibrated: bool = False,
        watchers: Sequence[Watcher] = (),
        **reading: Any,
    ) -> Inspection:
        """Predict the images of the run's own test sets, or of other data, and show where the model is wrong.

        Args:
            data: As for `evaluate`.
            all_images: Also predict the other images of the run's data: the splits "train", "val", and "unused", which
                are training images that were not drawn.
            calibrated: Divide logits by the `temperature`, for test sets with the classes of training.
            watchers: As for `evaluate`.
            **reading: As for `evaluate`.

        Returns:
            Tables of the predictions, of accuracy per class, of confused classes, of mistakes and of calibration.

        Raises:
            UserError: As `evaluate`; if all images are wanted of other data, or the run does not train on all classes
                with labels; or if there is no temperature.
        """
        temperature = self._known_temperature() if calibrated else 1.0
        model, run, task = self._evaluation(data, reading)
        if all_images:
            if task.tests.keys() == {"test"} and task.tests["test"].dataset is not None:  # see `evaluation_data`
                raise UserError(
                    "all_images is for the run's own data; leave it out, as all images of other data are tested"
                )
            task = inspection.with_all_images(run, task, self.folder)
        return inspection.inspect_task(model, run, task, watchers, temperature)

    def calibrate(self, watchers: Sequence[Watcher] = (), **reading: Any) -> FittedTemperature:
        """Fit a temperature to the probabilities of the validation images, never of test images.

        Logits are divided by it on request: `predict(..., calibrated=True)`. Accuracy does not change. Of your own
        data, all validation images are used, otherwise those that were drawn for the run. The temperature is stored in
        the run directory, if there is one, and by `save`.

        Args:
            watchers: Receive the number of images done.
            **reading: As for `evaluate`.

        Returns:
            The temperature, its 95 % interval, the number of images, their negative log-likelihood before and after.

        Raises:
            UserError: If there are no validation images, all are classified correctly, or images have several classes.
        """
        if self.folder is not None:
            check_file(self.folder / run_dir.CALIBRATION)
        model, run, task = self._evaluation(None, reading)
        fitted = calibration.fit_on_validation(model, run, task, watchers)
        if fitted.images < calibration.FEW_IMAGES:
            warn_user(
                f"the temperature is {calibration.describe(fitted)}, which are few: more would make it more certain"
            )
        if self.folder is not None:
            calibration.write_temperature(self.folder, fitted)
        self._fitted = fitted
        return fitted

    def _known_temperature(self) -> float:
        if self.temperature is None:
            raise UserError(
                f"{self.path or 'this model'} has no temperature for calibrated probabilities; fit it on validation "
                f"images first: cliptune evaluate RUN --calibrate, in Python run.calibrate()"
            )
        return self.temperature.temperature

    def _evaluation(self, data: Any, reading: Mapping[str, Any]) -> tuple[TunedModel, config.RunConfig, Task]:
        """The model, the configuration and the task of an evaluation; arguments as for `evaluate`."""
        run = config.with_options(self.run, reading)
        task = evaluation_data.evaluation_task(data, run, trained=self.run, classnames=self.classnames, path=self.path)
        templates = reading.get("templates", ())  # by default those of training
        model = self.model.with_classes(self.classnames, templates) if templates else self.model
        if task.classnames != self.classnames:
            model.with_classes(task.classnames)  # raises if the method cannot be applied to them
        tasks.warn_of_image_kind(model.backbone, task.dataset)
        return model, run, task

    def predict(self, images: ImageInput | Iterable[ImageInput], top_k: int = 1, *, calibrated: bool = False) -> Any:
        """Classify one or several images.

        Args:
            images: An image or an iterable of images, which are read in batches: paths, bytes of image files, files
                opened with "rb", PIL images, arrays `(H, W, C)` or `(H, W)`, tensors `(C, H, W)` or `(H, W)`. Arrays
                and tensors are uint8, or float in [0, 1] and not normalised. One with four dimensions is a batch.
            top_k: Number of classes to return per image. If above 1, each prediction is a list, most probable first.
            calibrated: Divide logits by the `temperature` that `calibrate` fitted.

        Returns:
            `(name, probability)` of the most probable class; for several images, a list in their order.

        Raises:
            UserError: If an image cannot be read; the message names it and the reason. If there is no temperature.
        """
        checks.require(top_k >= 1, "top_k", top_k, "at least 1")
        temperature = self._known_temperature() if calibrated else 1.0
        _, single = iterate_images(images)
        best = (self.logits(images) / temperature).softmax(-1).topk(min(top_k, len(self.classnames)))
        rows = [
            [(self.classnames[i], p) for p, i in zip(*pair, strict=True)]
            for pair in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        answers = [row[0] for row in rows] if top_k == 1 else rows
        return answers[0] if single else answers

    @torch.no_grad()
    def logits(self, images: ImageInput | Iterable[ImageInput]) -> Tensor:
        """Compute the logits of images. Their softmax gives the probabilities.

        Args:
            images: As for `predict`.

        Returns:
            `(n, n_classes)`, on the model's device.

        Raises:
            UserError: As for `predict`.
        """
        classes = len(self.classnames)
        found = [self.model({"image": views}).logits[:, :classes] for views in self._views(images)]
        return check_logits(torch.cat(found))

    @torch.no_grad()
    def image_features(self, images: ImageInput | Iterable[ImageInput]) -> Tensor:
        """Compute image features with the tuned image tower, including learned image tokens and adapters.

        Most methods classify by scaled cosines, `model.backbone.logit_scale * image_features(images) @
        text_features().T`, plus `logit_bias` if the backbone has one. A learned head (`linear_probe`, `tip_adapter`,
        `tip_adapter_f`) adds to these or replaces them; see `logits`.

        Args:
            images: As for `predict`.

        Returns:
            L2-normalised features `(n, embed_dim)`, on the model's device.

        Raises:
            UserError: As for `predict`.
        """
        prompts = self.model.prompts()
        return torch.cat([self.model.encode_views({"image": views}, prompts)["image"] for views in self._views(images)])

    @torch.no_grad()
    def text_features(self) -> Tensor:
        """Compute the text features of the classes.

        For methods that do not change the image tower (`coop`, `kgcoop`, `language`, ...) they are the whole
        classifier, to be used with image features of the plain backbone. Other methods need their own
        `image_features`.

        Returns:
            L2-normalised features `(n_classes, embed_dim)`, on the model's device.

        Raises:
            UserError: If the prompts depend on the image (`cocoop`), so that no such features exist.
        """
        return self.model.encode_classes()[0]

    def _views(self, images: ImageInput | Iterable[ImageInput]) -> Iterator[Tensor]:
        """Normalised evaluation views of images, `BATCH_SIZE` at a time."""
        backbone, augment = self.model.backbone, self.run.training.augment
        preprocess, device = backbone.preprocess, backbone.logit_scale.device
        tasks.warn_of_image_kind(backbone, None)

        def view(image: DecodedImage) -> Tensor:
            return evaluation_view(to_pil_image(image.image), preprocess, augment)

        for pixels in batched_views(images, view, BATCH_SIZE):
            yield standardise(pixels.to(device), preprocess.mean, preprocess.std)

    def with_classes(self, classnames: Sequence[str]) -> Tuned:
        """The same tuned model for other classes, without training.

        Args:
            classnames: At least two names.

        Raises:
            UserError: If the method has trainable parameters per class (`linear_probe`, `coop` with per-class context).
        """
        checks.classnames(classnames)
        return Tuned(self.model.with_classes(classnames), self.run)

    def save(self, path: str | Path) -> Path:
        """Write the trained parameters, the configuration and the class names: kilobytes, without code.

        A fitted `temperature` is written as well if the checkpoint is in a folder of its own.

        Args:
            path: A file name that ends in `.safetensors`, or a folder, in which `checkpoint.safetensors` is written.

        Returns:
            The path of the file.
        """
        path = Path(path)
        path = path if path.suffix == ".safetensors" else path / run_dir.CHECKPOINT
        fitted = self.temperature if path.name == run_dir.CHECKPOINT else None
        model_io.save_model(path, self.run, self.model)
        if fitted is not None:
            calibration.write_temperature(path.parent, fitted)
        return path

    def plot(self, what: str = "curves", images: Any = None, *, data: Any = None, **reading: Any) -> Any:
        """Draw a figure of the run.

        Args:
            what: "curves": losses, and validation accuracy if it was measured, by epoch. "confusion": true against
                predicted classes of each test set. "saliency": images with Grad-CAM maps of the predicted class.
            images: The images of "saliency", as for `predict`, at most 24; by default, test images of several classes.
            data: The data of "confusion", or of "saliency" without `images`; as for `evaluate`.
            **reading: As for `evaluate`.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show and `savefig` writes. It does not belong to pyplot, so it
            needs no backend and is not kept in memory.

        Raises:
            UserError: If the run has no history, its image tower has no Grad-CAM maps, or as `evaluate`.
        """
        from cliptune.report import run_plots  # matplotlib takes half a second to import

        run_plots.check_arguments(what, images, data, reading)
        if what == "curves":
            return run_plots.plot_curves(self.result)
        if what == "confusion":
            return run_plots.plot_confusions(self.inspect(data, **reading).splits)
        if images is not None:
            tuned, shown = self, run_plots.read_images(images)
        else:
            model, run, task = self._evaluation(data, reading)
            shown, classnames = run_plots.sample_test_images(task)
            tuned = Tuned(model.with_classes(classnames), run)
        probabilities = tuned.logits([one.image for one in shown]).softmax(-1)
        return run_plots.plot_saliency(tuned.model, shown, probabilities)

    def export(self, path: str | Path, to: str = "open_clip", *, half: bool = False, int8: bool = False) -> Path:
        """Write the tuned model for use without cliptune.

        Args:
            path: A folder. With `to="open_clip"` also a file name that ends in `.safetensors`, for the weights alone.
            to: What to write, each with a README that has lines of Python to use it, but for "open_clip":

                - "onnx": the image tower with its learned tokens, the preprocessing after resizing and the class
                  features as `model.onnx`, from uint8 images to logits. Needs `pip install "cliptune[onnx]"`.
                - "torch": the same as `model.pt2`, for `torch.export.load`.
                - "numpy": class matrix, factor and names, for methods that leave the image tower as it is.
                - "open_clip": the CLIP with low-rank terms and LayerNorms merged into its weights, for methods that
                  only change weights: `clip_lora`, `two_stage_fs`. A classifier (`two_stage_fs`) is not in the file; a
                  warning says so. `open_clip.create_model("local-dir:FOLDER")` loads the folder.
            half: Compute the image tower in float16 ("onnx", "torch"). The accuracy on test images of the run is in the
                README and in `classifier.json`.
            int8: Round the weights of linear layers to eight bits, and their inputs when the file runs ("onnx"). The
                accuracy is measured as well.

        Returns:
            The path of the main file.

        Raises:
            UserError: If the method has anything that the format cannot contain, a library is missing, or a file cannot
                be written; then nothing is written.
        """
        from cliptune.export.write import Exported, write_export  # torch.export takes a second to import

        path = Path(path)
        if path.name == run_dir.CHECKPOINT:
            raise UserError(f"{path} is the name of a run's checkpoint; choose another file, or a folder")
        if to == "open_clip":
            if half or int8:
                raise UserError(f"{'half' if half else 'int8'} is for the formats onnx and torch; choose one with to")
            return export_open_clip(self.model, path)
        task = partial(
            evaluation_data.evaluation_task,
            None,
            self.run,
            trained=self.run,
            classnames=self.classnames,
            path=self.path,
        )
        source = Exported(self.model, self.run, task, self.temperature)
        return write_export(source, path, to, half=half, int8=int8)  # type: ignore[arg-type]

    def push(self, repository: str, *, private: bool = False, revision: str = "", license: str = "") -> str:
        """Publish the model on the Hugging Face hub: learned tensors, configuration, class names, results, model card.

        It needs a token with write access: `hf auth login`, or the environment variable `HF_TOKEN`.
        `ct.load("hf:USER/MODEL")` loads it. Paths of this machine that a run directory records are left out.

        Args:
            repository: USER/MODEL. It is created if it does not exist; a model of cliptune that is there is replaced,
                and its earlier commits remain.
            private: Whether a new repository is private.
            revision: The branch to commit to, which is created if it does not exist. By default, the main branch.
            license: The licence of the learned tensors, for the model card, such as "mit".

        Returns:
            The address of its page.

        Raises:
            UserError: If there is no token, the hub cannot be reached or refuses, or the repository contains anything
                else than a model of cliptune.
        """
        from cliptune.push.push import push_run

        options: dict[str, Any] = {"private": private, "revision": revision, "license": license}
        options["allow_code"] = config.external_names(self.run)
        source = self.folder if self.folder is not None and (self.folder / run_dir.CHECKPOINT).is_file() else self.path
        if source is not None:
            return push_run(source, repository, **options).url
        with tempfile.TemporaryDirectory(prefix="cliptune-push-") as folder:
            self.save(folder)
            if self.result is not None:
                store.save_result(self.result, Path(folder))
            return push_run(Path(folder), repository, **options).url

    def as_module(self, half: bool = False) -> nn.Module:
        """The model as a module from images to logits, for `torch.export`, `torch.jit.trace` and `torch.onnx`.

        Its inputs are images `(b, 3, H, W)` at the backbone's size, uint8 or float in [0, 1]; it normalises them. It
        contains the image tower with all that is learned, and the features of the classes, but no text tower.

        Args:
            half: Compute the image tower in float16.

        Raises:
            UserError: If class features depend on the image (`cocoop`), so that the text tower would be needed.
        """
        return ImageClassifier(self.model, half).eval()


def load(path: str | Path, backbone: Backbone | None = None, *, allow_code: bool = False) -> Tuned:
    """Load a tuned model.

    Relative paths of its data are found from any working directory, also after the run and its data were moved
    together.

    Args:
        path: The folder of a run, a checkpoint file, or a run on the Hugging Face hub as hf:USER/MODEL or
            hf:USER/MODEL@REVISION, which is downloaded. Code is never loaded from there.
        backbone: The backbone, if it is already loaded. By default, the one that the checkpoint names is loaded.
        allow_code: Whether to import a method outside of cliptune ("package.module:Class") that the file names. Use it
            only for files that you trust.

    Raises:
        UserError: If there is no checkpoint, it is damaged, or it was made for another backbone.
    """
    place = run_dir.find_run(path)
    model, run = model_io.load_model(place, backbone, allow_code=allow_code)
    return Tuned(model, run, path=place.absolute())
