"""`cliptune export RUN`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cliptune import files
from cliptune.commands.parse import parse, split_first


@dataclass(frozen=True)
class Export:
    """Write the tuned CLIP of a run as plain open_clip weights, for use without cliptune: open_clip loads them, and
    they cost no more than the backbone. For methods that only change weights of the towers (clip_lora, two_stage_fs);
    others are used with predict, or in Python through features."""

    out: Path
    """Folder for open_clip_config.json and open_clip_model.safetensors, or a file FILE.safetensors for the weights
    alone."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""


def export(arguments: list[str]) -> None:
    """Write the weights of a run and print their path."""
    path, rest = split_first(arguments, "a run's folder", "export runs/train --out my-clip")
    options = parse(Export, "export RUN", rest)
    single = options.out.suffix == ".safetensors"
    (files.check_file if single else files.check_folder)(options.out)
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    written = run.export(options.out)
    sys.stdout.write(f"{written}\n")
    loads = (
        f'open_clip.create_model(ARCHITECTURE, pretrained="{written}"), with the architecture and activation of '
        f"{run.model.backbone.name}"
        if single
        else f'open_clip.create_model_and_transforms("local-dir:{options.out}"), or --backbone {options.out}'
    )
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"next: {loads}", markup=False)
