"""`cliptune import FILE`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from cliptune import config, files, methods, run_dir
from cliptune.commands.flags import Flag, flag_names, given_fields
from cliptune.commands.parse import parse, parse_known, split_first, unknown_flag_error
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.text import listed

if TYPE_CHECKING:
    from cliptune.tuned import Tuned


@dataclass(frozen=True)
class Import:
    """Convert a checkpoint of the authors' code to a run, for evaluate and predict: model.pth.tar-5 or
    model-best.pth.tar of CoOp, CoCoOp, KgCoOp, ProGrad, VPT, IVLP, MaPLe, PromptSRC, RESTORE, MMRL, MMRL++, DPL, DAPT,
    PromptKD, CoPrompt or HiCroPL.

    Learned tensors are converted to float32, and their shapes determine the sizes; no code in the file is executed.
    Settings that tensors do not show are flags, as for train: --words, --position front, --compat release. For
    alpha_e80_img.npy, a result of DPL's search, the lengths found are printed."""

    method: str = ""
    """The method, if several save the same tensors: coop, kgcoop or prograd; maple or maple+dapt."""
    backbone: str = "ViT-B-16"
    """The CLIP it was trained on, as for train: an open_clip name, a hub name, or a local file or folder."""
    pretrained: str = ""
    """Weights for an open_clip name: a tag or a file; by default OpenAI's."""
    activation: config.Activation = "auto"
    """As for train."""
    classes: tuple[str, ...] = ()
    """Class names in the order of training: cat dog, or cat,dog, or a file with one name per line. By default they are
    read from the prompts that most checkpoints contain (those of VPT, DPL and PromptKD do not)."""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    """Prompt templates of the dataset, with {} for the class name, for methods that use them."""
    out: Path = Path("runs/import")
    """Folder for the run."""
    swapped: bool = True
    """Whether the contents of DPL's two alpha files are exchanged, as the release writes them."""


@dataclass(frozen=True)
class _MethodFlags:
    method: Annotated[Method, tyro.conf.arg(name="method")]


def import_(arguments: list[str]) -> None:
    """Convert a checkpoint to a run."""
    path, rest = split_first(arguments, "a checkpoint", "import model.pth.tar-5 --out my-model")
    options, others = parse_known(Import, "import FILE", rest)
    if not Path(path).is_file():
        raise UserError(f"no file at {path}; check the path")
    files.check_folder(options.out)
    if options.method:
        methods.build(options.method)
    _check_flags(others)
    from cliptune.api import import_checkpoint
    from cliptune.official import dpl_alphas
    from cliptune.official.checkpoint_file import read_official
    from cliptune.official.detect import detect_method

    if Path(path).suffix == ".npy":
        text, image = (" ".join(map(str, found)) for found in dpl_alphas.read_lengths(path, options.swapped))
        sys.stdout.write(f"--lengths-text {text} --lengths-image {image}\n")
        _print_note("next: cliptune train dpl with these flags trains tokens of these lengths")
        return
    checkpoint = read_official(Path(path))
    name = detect_method(checkpoint, options.method)
    classes = options.classes[0] if len(options.classes) == 1 else options.classes
    run = import_checkpoint(
        checkpoint,
        method=name,
        backbone=options.backbone,
        pretrained=options.pretrained,
        activation=options.activation,
        classes=classes,
        templates=options.templates,
        **method_options(name, others),
    )
    with run_dir.claimed_run_dir(options.out, run.run):
        run.save(options.out)
    sys.stdout.write(f"{_described(run)}\n")
    _print_note(f"saved in {options.out}")
    _print_note(f"next: cliptune predict {options.out} IMAGE..., or cliptune evaluate {options.out} --data folder:PATH")


def _check_flags(flags: Sequence[Flag]) -> None:
    """Raise `UserError` for a flag that no method has, before the checkpoint is read."""
    names = [f"maple+{name}" if methods.is_wrapper(methods.get(name)) else name for name in methods.names()]
    known = {flag for name in names for flag in flag_names(_MethodFlags, _MethodFlags(methods.build(name)))}
    for flag in flags:
        if flag.name not in known:
            raise unknown_flag_error(flag, "import FILE", sorted(known | {*flag_names(Import)}))


def method_options(name: str, flags: Sequence[Flag]) -> dict[str, Any]:
    """The fields of the method `name` that flags set, by name. Raises `UserError` for an unknown flag."""
    words, default = [word for flag in flags for word in flag.words], _MethodFlags(methods.build(name))
    layers = list(config.nested_methods(parse(_MethodFlags, "import FILE", words, default).method))
    found = {}
    for path in given_fields(_MethodFlags, words, default):
        *levels, field = path.split(".")[1:]
        found[field] = getattr(layers[len(levels)], field)
    return found


def _described(run: Tuned) -> str:
    """One line: the method with its non-default fields, the backbone, and some of the classes."""
    layers = []
    for layer in config.nested_methods(run.run.method):
        fields = [f for f in dataclasses.fields(layer) if f.name != "base"]  # type: ignore[arg-type]
        layers += [f"{f.name}={getattr(layer, f.name)!r}" for f in fields if getattr(layer, f.name) != f.default]
    names = listed(run.classnames, 3)
    settings = f" ({', '.join(layers)})" if layers else ""
    backbone = run.model.backbone.name
    return f"{methods.name_of(run.run.method)}{settings} on {backbone}, {len(run.classnames)} classes: {names}"


def _print_note(line: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)
