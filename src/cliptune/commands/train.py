"""`cliptune train METHOD`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from cliptune import coresets, external_code, files, loggers, masks, methods, presets, unused_options
from cliptune.backbones.bundled import AUTO
from cliptune.backbones.resolve import resolve_backbone
from cliptune.commands.config_file import configured_run, without_help
from cliptune.commands.evaluate import print_metrics
from cliptune.commands.flags import FLAT, given_fields
from cliptune.commands.parse import parse, parse_known, split_first
from cliptune.config import RunConfig
from cliptune.data import sources
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.results import prompt_lengths


@dataclass(frozen=True)
class Train:
    """Tune a CLIP with a method on a few images per class, and test it. Options that are not given come from the
    preset of the method, or from the configuration of another run."""

    run: Annotated[RunConfig, FLAT]
    out: Path = Path("runs/train")
    """Folder for the checkpoint, the result and the configuration. The same command continues an interrupted run."""
    preset: str = "auto"
    """auto: the published settings (for a bundled backbone, settings suited to it). none: the defaults of the code.
    Otherwise the name of a preset file of the method that overrides the published settings, such as per_dataset for
    restore, or the path of the best.yaml of cliptune tune."""
    config: Path | None = None
    """The config.yaml of a run, or its folder: train with that method and those settings, except for the options given
    here. Relative paths in it start at the current folder."""
    allow_code: bool = False
    """Allow methods outside of cliptune that the file of --config names to run their code."""
    log: tuple[str, ...] = ()
    """Log losses, metrics, settings, pictures and files to csv (OUT/log.csv), tensorboard (OUT/tensorboard), wandb
    (pip install "cliptune[wandb]"), mlflow ("cliptune[mlflow]"), or to a class of yours as package.module:Class."""
    tensorboard: bool = False
    """The same as --log tensorboard."""


@dataclass(frozen=True)
class _PresetFlags:
    """The flags that select the preset; parsed before the others."""

    data: str = "emoji"
    backbone: str = AUTO
    pretrained: str = ""
    shots: int = 16
    protocol: str = "few_shot"
    preset: str = "auto"


def preset_run(name: str, arguments: list[str]) -> RunConfig:
    """The run of a method's preset for the data, backbone, shots and protocol among `arguments`."""
    first, _ = parse_known(_PresetFlags, f"train {name}", without_help(arguments))
    base = {f.name: getattr(first, f.name) for f in dataclasses.fields(first) if f.name != "preset"}
    return presets.get(name, first.preset, **base)


def describe_defaults(name: str, run: RunConfig) -> str:
    """The paragraph of the help about the default values."""
    shots = f"{run.shots} shots" if run.shots else "all training images"
    return (
        f"The defaults shown are those of {name} on data {run.data}, backbone {run.backbone}, protocol {run.protocol} "
        f"and {shots}. Add other values of these flags, or --preset, before --help to see their defaults."
    )


def starting_point(arguments: list[str], command: str, example: str) -> tuple[str, list[str], RunConfig, str]:
    """The method, the arguments after it, the run with the default values, and the paragraph of the help about them.

    command, example: For messages.
    """
    of_file = "The defaults shown are those of --config."
    if arguments[:1] and arguments[0].startswith("-") and (run := configured_run("", command, arguments)):
        return methods.name_of(run.method), arguments, run, of_file
    name, rest = split_first(
        arguments,
        f"a method ({', '.join(methods.names())}, or two joined by +)",
        example,
        help_name="maple+dapt",  # its help shows flags of a method and of a wrapper
    )
    if run := configured_run(name, f"{command} {name}", rest):
        return name, rest, run, of_file
    run = preset_run(name, rest)
    return name, rest, run, describe_defaults(name, run)


def train(arguments: list[str]) -> None:
    """Tune a model, test it and save it."""
    name, rest, run, defaults = starting_point(arguments, "train", "train maple+dapt --data folder:photos")
    options = parse(Train, f"train {name}", rest, Train(run), defaults)
    # Mistakes are reported before PyTorch and the backbone are loaded.
    files.check_folder(options.out)
    coresets.parse_selector(options.run.selector)
    unused_options.check_unused_options([options.run], given_fields(Train, rest, Train(run)))
    sources.get(options.run.data, options.run.reading)
    resolve_backbone(options.run.backbone, options.run.pretrained)
    masks.check_spec(options.run.method.mask_source() or "auto")
    log = (*options.log, *(["tensorboard"] if options.tensorboard else []))
    loggers.check_loggers(log)
    from cliptune import experiment

    logging = loggers.build_loggers(log)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_display(console) as progress:
        watchers = [ProgressBar(progress, name), *logging]
        _, result = experiment.run_experiment(options.run, options.out, watchers=watchers)
    if int(os.environ.get("LOCAL_RANK", 0)):  # on several devices, only the first process prints
        return
    print_metrics(result.metrics)
    for i, line in enumerate(prompt_lengths.format_prompt_lengths(prompt_lengths.prompt_lengths(result))):
        console.print(line if i else f"tokens in each layer:\n{line}")
    cost = f"{result.cost['parameters']:.0f} trainable parameters in {result.cost['seconds']:.1f} s"
    console.print(f"{cost}, saved in {options.out}")
    own = any(map(external_code.is_external, (name, options.run.selector)))
    console.print(f"next: cliptune predict {options.out} IMAGE...{' --allow-code' * own}")
