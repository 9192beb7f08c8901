"""`cliptune export RUN`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from tyro.conf import Positional

from cliptune import files
from cliptune.commands.parse import parse, split_first
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.tuned import Tuned


@dataclass(frozen=True)
class Export:
    """Write the tuned model of a run for use without cliptune, with a README that says how to use it.

    onnx: the image tower with all that is learned, preprocessing and class features in one file for onnxruntime.
    torch: the same for torch.export.load. numpy: the class matrix, for methods that leave the image tower as it is.
    open_clip: plain CLIP weights, for methods that only change weights of the towers (clip_lora, two_stage_fs)."""

    folder: Positional[tuple[Path, ...]] = ()
    """The folder to write, like --out."""
    out: Path | None = None
    """Folder to write. With --to open_clip also a file FILE.safetensors, for the weights alone."""
    to: Literal["open_clip", "onnx", "torch", "numpy"] = "open_clip"
    """What to write."""
    half: bool = False
    """Compute the image tower in float16, and measure the accuracy on test images of the run (onnx, torch)."""
    int8: bool = False
    """Round the weights of linear layers to eight bits, and measure the accuracy on test images of the run (onnx)."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""


def export(arguments: list[str]) -> None:
    """Write the files of a run, and print the path of the main one."""
    path, rest = split_first(arguments, "a run's folder", "export runs/train --to onnx --out my-classifier")
    options = parse(Export, "export RUN", rest)
    out = _destination(options)
    weights = options.to == "open_clip" and out.suffix == ".safetensors"
    (files.check_file if weights else files.check_folder)(out)
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    written = run.export(out, options.to, half=options.half, int8=options.int8)
    sys.stdout.write(f"{written}\n")
    if options.to == "open_clip":
        lines = [f"next: {_loading(out, written, run)}"]
    else:
        about = json.loads(files.read_text(out / "classifier.json"))
        lines = [_measured(about)] if "measured" in about else []
        lines.append(f"next: python {out / 'classify.py'} IMAGE..., or the lines of Python in {out / 'README.md'}")
    for line in lines:
        Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)


def _destination(options: Export) -> Path:
    """The folder or file to write. Raises `UserError` unless exactly one is given."""
    given = [*options.folder, *([] if options.out is None else [options.out])]
    if len(given) != 1:
        count = f"{len(given)} folders were named" if given else "no folder was named"
        raise UserError(f"export writes to one folder, and {count}: cliptune export RUN --to onnx --out FOLDER")
    return given[0]


def _loading(out: Path, written: Path, run: Tuned) -> str:
    """How open_clip loads the weights."""
    if written == out:
        return (
            f'open_clip.create_model(ARCHITECTURE, pretrained="{written}"), with the architecture and activation of '
            f"{run.model.backbone.name}"
        )
    return f'open_clip.create_model_and_transforms("local-dir:{out}"), or --backbone {out}'


def _measured(about: dict[str, Any]) -> str:
    from cliptune.export.comparison import in_words

    return f"{about['precision']}: {in_words(about['measured'])}"
