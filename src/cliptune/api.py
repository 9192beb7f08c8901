"""`ct.train` and `ct.import_checkpoint`: tune a model, or convert a checkpoint of the authors' code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune import experiment, methods, model_io, presets, run_dir, tasks
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.backbones.resolve import list_pretrained_tags, match_architecture
from cliptune.config import Activation, RunConfig, with_options
from cliptune.data import sources
from cliptune.data.custom.common.torch_dataset import as_dataset, python_spec
from cliptune.data.dataset import Dataset
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError, shown
from cliptune.loggers import build_loggers
from cliptune.loggers.common.logger import Logger
from cliptune.model.method import Method
from cliptune.official.checkpoint_file import OfficialCheckpoint, read_official
from cliptune.official.detect import detect_method
from cliptune.official.rebuild import DEFAULT_TEMPLATES, rebuild_model
from cliptune.tuned import Tuned

#: Arguments of `train` that decide which values of the preset apply.
PRESET_ARGUMENTS = ("data", "shots", "backbone", "pretrained", "seed", "protocol")


def train(
    method: str | Method | None = None,
    data: Any = None,
    *,
    shots: int | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    seed: int | None = None,
    protocol: str | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    allow_code: bool = False,
    out: str | Path | None = None,
    log: str | Logger | Sequence[str | Logger] = (),
    watchers: Sequence[Watcher] = (),
    **options: Any,
) -> Tuned:
    """Tune a CLIP on a few images per class.

    Args:
        method: A name such as "maple+dapt", or a method object. Not needed with `config`.
        data: "emoji" (bundled drawings, the default), "folder:PATH" or another value of `--data`, a torch dataset of
            `(image, label)` that has `classes`, or the result of `from_torch`.
        shots: Training images per class, by default 16; 0 takes all.
        backbone: A name as for `load_backbone`. "auto", the default: the small bundled backbone for the kind of the
            images.
        pretrained: Tag or file of the weights of the backbone.
        seed: Seed of the few-shot sample, the initial parameters and the order of the images, by default 1.
        protocol: "few_shot" (the default), "base_to_novel", "cross_dataset", "domain_generalization" or
            "data_efficient".
        preset: Defaults of the options. "auto", the default: the published settings of the method; "none": the defaults
            of the dataclasses; another name: a preset file of the method on top of the published settings; a path: the
            `best.yaml` of a search.
        config: The `config.yaml` of a run, or its folder, in place of `method` and `preset`: train with that
            configuration, except for the other arguments.
        allow_code: Allow methods outside of cliptune that the file `config` names to run their code.
        out: Folder for the checkpoint and the result. If the call is interrupted, the same call continues it.
        log: Loggers of losses, metrics, settings, pictures and files: "csv", "tensorboard", "wandb", "mlflow", or
            objects of a subclass of `Logger`.
        watchers: Observers of the training; see `Watcher`.
        **options: Any field of `RunConfig`, `TrainConfig`, `DataConfig` or the method (`epochs=5`, `n_ctx=4`).

    Returns:
        The tuned model with its `result`.

    Raises:
        UserError: If a name, an option or the data cannot be used; the message names the alternatives.
    """
    base = {"shots": shots, "backbone": backbone, "pretrained": pretrained, "seed": seed, "protocol": protocol}
    run, opened = run_of(method, data, base | options, preset=preset, config=config, allow_code=allow_code)
    task = None if opened is None else tasks.build_task(run, opened)
    watching = [*watchers, *build_loggers(log)]
    model, result = experiment.run_experiment(run, None if out is None else Path(out), watchers=watching, task=task)
    # The method of the model may differ: after a search it is the one that was found, which the tensors fit.
    folder = None if out is None else Path(out).absolute()
    return Tuned(model, dataclasses.replace(run, method=model.method), result, folder=folder)


def open_data(data: Any) -> tuple[str | None, Dataset | None]:
    """The spec of `data`, and the dataset if it is an object. A spec or None is returned unchanged."""
    if data is None or isinstance(data, str):
        return data, None
    opened = as_dataset(data)
    return python_spec(opened), opened


def run_of(
    method: str | Method | None,
    data: Any,
    options: Mapping[str, Any],
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    allow_code: bool = False,
) -> tuple[RunConfig, Dataset | None]:
    """The configuration of a run from the arguments of `train`, and its data if that is an object; None in `options`
    stands for the default."""
    spec, opened = open_data(data)
    given = {"data": spec, **options}
    if opened is not None and config is None:
        given["backbone"] = choose_backbone(given.get("backbone") or AUTO, opened.image_kind)
    given = {key: value for key, value in given.items() if value is not None or key not in PRESET_ARGUMENTS}
    if config is not None:
        run = with_options(_configured_run(config, method, preset, allow_code), given)
    else:
        base = {key: value for key, value in given.items() if key in PRESET_ARGUMENTS}
        rest = {key: value for key, value in given.items() if key not in PRESET_ARGUMENTS}
        run = with_options(_preset_run(method, preset, base), rest)
    return run, None if opened is None else sources.apply_config(opened, run.reading)


def _preset_run(method: str | Method | None, preset: str | None, base: Mapping[str, Any]) -> RunConfig:
    """The run of a method's name with its preset, or of a method object with defaults."""
    if method is None:
        raise UserError(f"method is missing; choose one of {', '.join(methods.names())}, or pass config=FILE")
    return RunConfig(method, **base) if isinstance(method, Method) else presets.get(method, preset or "auto", **base)


def _configured_run(file: str | Path, method: str | Method | None, preset: str | None, allow_code: bool) -> RunConfig:
    """The run in a configuration file, which has a method and its settings already."""
    for name, value in (("method", method), ("preset", preset)):
        if value is not None:
            raise UserError(
                f"{name}={shown(value)} and config={shown(str(file))} exclude each other; leave one of them out"
            )
    return run_dir.read_config(file, allow_code)


def import_checkpoint(
    path: str | Path | OfficialCheckpoint,
    *,
    method: str = "",
    backbone: str = "ViT-B-16",
    pretrained: str = "",
    activation: Activation = "auto",
    classes: str | Path | Sequence[str] = (),
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    **options: Any,
) -> Tuned:
    """Convert a checkpoint of the authors' code, `model.pth.tar-5` or `model-best.pth.tar`, to a tuned model.

    Args:
        path: A checkpoint of CoOp, CoCoOp, KgCoOp, ProGrad, VPT, IVLP, MaPLe, PromptSRC, RESTORE, MMRL, MMRL++,
            DPL, DAPT, PromptKD, CoPrompt or HiCroPL. No code in it is executed.
        method: The name of the method, needed if several methods save the same tensors.
        backbone: The CLIP it was trained on.
        pretrained: The weights of the backbone. By default OpenAI's for an open_clip name.
        activation: The activation of the backbone, as for `train`.
        classes: Class names in the order of training, or a file with one name per line. By default, they are decoded
            from the prompts that most checkpoints contain.
        templates: The prompt templates of the dataset.
        **options: Fields of the method that the tensors do not determine (`words`, `position`, `compat`, `teacher`,
            `descriptions`).

    Raises:
        UserError: If the file is not such a checkpoint, or an argument is needed; the message names it.
    """
    saved = path if isinstance(path, OfficialCheckpoint) else read_official(Path(path))
    name = detect_method(saved, method)
    pretrained = pretrained or (
        "openai" if "openai" in list_pretrained_tags(match_architecture(backbone)[0] or "") else ""
    )
    frozen = experiment.cached_backbone(backbone, pretrained, activation)
    names = _read_classnames(classes)
    model, run = rebuild_model(saved, name, frozen, options, names, templates, model_io.lazy_teacher)
    return Tuned(model, dataclasses.replace(run, backbone=backbone, pretrained=pretrained, activation=activation))


def _read_classnames(names: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Class names from a sequence, a string with commas, or a file with one name per line."""
    if not isinstance(names, (str, Path)):
        return tuple(names)
    file = Path(names).expanduser()
    try:
        listed = file.read_text(encoding="utf-8").splitlines() if file.is_file() else str(names).split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"class names cannot be read from {file} ({type(error).__name__}); give UTF-8 text") from None
    return tuple(name.strip() for name in listed if name.strip())
