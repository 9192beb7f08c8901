"""Write a tuned model as a folder that classifies images without cliptune."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cliptune import files
from cliptune.analysis.calibration import FittedTemperature
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.export import comparison, description, numpy_file, onnx_file, torch_file
from cliptune.export.class_matrix import ROUNDING
from cliptune.export.folder import complete_folder
from cliptune.export.quantization import quantise
from cliptune.export.readme import README, readme
from cliptune.export.resizing import OPEN, resize_lines
from cliptune.export.usage import SCRIPT, readme_lines, script
from cliptune.model.image_classifier import ImageClassifier
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Task

Format = Literal["onnx", "torch", "numpy"]
#: Largest number of test images on which an exact export is checked, and one that is less precise is measured.
CHECKED, MEASURED = 16, 500


@dataclass(frozen=True)
class Exported:
    """A run to export.

    Attributes:
        model: Its model, in evaluation mode.
        run: Its configuration.
        task: Builds its task.
        temperature: The temperature of its logits, if one was fitted.
    """

    model: TunedModel
    run: RunConfig
    task: Callable[[], Task]
    temperature: FittedTemperature | None = None

    @property
    def method(self) -> str:
        """Name of the method for messages."""
        return type(self.model.method).__name__

    def sample(self, most: int) -> comparison.Sample:
        """At most `most` test images of the run, or random pixels."""
        return comparison.sample_tests(self.model, self.run, self.task, most)


def write_export(source: Exported, folder: Path, to: Format, *, half: bool = False, int8: bool = False) -> Path:
    """Write the files of a format, `classifier.json`, `classify.py` and `README.md` to `folder`.

    Returns the path of the main file.

    half: Compute the image tower in float16. int8: Round the weights of linear layers and their inputs to eight bits.

    Raises:
        UserError: If the model cannot be exported in this format, a library is missing, or the folder cannot be
            written. Then nothing is written.
    """
    if to not in get_args(Format):
        raise UserError(f"to must be one of {', '.join(('open_clip', *get_args(Format)))}, got {to!r}")
    if to == "numpy" and half:
        raise UserError("half is for the image tower, which the numpy format does not contain; leave it out")
    if int8 and to != "onnx":
        raise UserError(f"int8 is for the onnx format, not for {to}; leave it out")
    if int8 and half:
        raise UserError("half and int8 are two precisions of the same layers; choose one")
    if to == "onnx":
        onnx_file.check_libraries()
    about = description.describe(source.model, source.run, source.temperature)
    resize = (*OPEN, *resize_lines(source.model.backbone.preprocess, source.run.training.augment))
    with complete_folder(folder) as staging:
        if to == "numpy":
            numpy_file.write_matrix(source.model, staging)
            about |= numpy_file.about_matrix(source.model)
            usage = numpy_file.usage(source.model, source.run)
        else:
            precision = "float16" if half else "int8" if int8 else "float32"
            about |= _write_tower(source, staging, to, precision, about)
            usage = onnx_file.USAGE if to == "onnx" else torch_file.USAGE
        files.write_json(staging / description.FILE, about)
        files.write_text(staging / SCRIPT, script(usage, resize, about))
        text = readme(about, usage.needs, _contents(staging, about), readme_lines(usage, resize, about))
        files.write_text(staging / README, text)
    return folder / about["file"]


def _write_tower(source: Exported, staging: Path, to: Format, precision: str, about: dict[str, Any]) -> dict[str, Any]:
    """Write an image classifier and compare it with the model. Returns further entries of `classifier.json`."""
    classifier = ImageClassifier(_on_cpu(source.model), precision == "float16")
    program, classes = torch_file.trace(classifier, source.method), len(classifier.classnames)
    if to == "onnx":
        more = onnx_file.about_onnx(classifier.size, classes)
        onnx_file.write_onnx(program, staging / onnx_file.FILE, about)
        if precision == "int8":
            quantise(staging / onnx_file.FILE, source.model.backbone.name)
        classify = onnx_file.session(staging / onnx_file.FILE)
    else:
        more = torch_file.about_program(classifier.size, classes)
        classify = torch_file.write_program(program, staging)
    exact = precision == "float32"
    measured = comparison.compare(source.model, classify, source.sample(CHECKED if exact else MEASURED))
    if exact:
        check_equal(source.method, measured)
    return {**more, "precision": precision, "measured": measured}


def _on_cpu(model: TunedModel) -> TunedModel:
    """The model, or a copy if it is on another device: constants of an exported program stay on the device."""
    return model if model.backbone.logit_scale.device.type == "cpu" else copy.deepcopy(model).cpu().eval()


def check_equal(method: str, measured: dict[str, Any]) -> None:
    """Raise `UserError` if the logits of an export differ by more than rounding."""
    if not measured["largest_difference"] <= ROUNDING * max(1.0, measured["largest_logit"]):
        raise UserError(
            f"this model ({method}) cannot be exported: the file gives other logits, by up to "
            f"{measured['largest_difference']:.2g}, so nothing was written; use the run itself"
        )


def _contents(staging: Path, about: dict[str, Any]) -> dict[str, str]:
    """What each file of the export is."""
    kinds = {
        onnx_file.FILE: "images to logits, preprocessing after resizing included, class names in its metadata",
        torch_file.FILE: "the same as a program for `torch.export.load`",
        numpy_file.FILE: "arrays class_matrix, logit_scale, logit_bias and classes",
    }
    main = about["file"]
    size = sum(file.stat().st_size for file in staging.iterdir() if file.name.startswith(main)) / 2**20
    own = f"{kinds[main]}; {size:.1f} MiB, {about.get('precision', 'float32')}"
    more = {file.name: "its weights" for file in staging.iterdir() if file.name.startswith(f"{main}.")}
    program = f"classify images: `python {SCRIPT} IMAGE ...`, from any folder"
    about_file = "class names, preprocessing, input and output, for programs"
    return {main: own, **more, SCRIPT: program, description.FILE: about_file}
