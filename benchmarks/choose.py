"""Choose the presets of the tiny backbone: a small grid on the validation classes, never on those of the benchmark.

    .venv/bin/python benchmarks/choose.py --methods coop+dapt --seeds 1

Records are copied to benchmarks/results/choose; benchmarks/results/choose.md is the table of all of them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from descriptions import FILE
from keep import RESULTS, keep

from cliptune import config, presets, sweep
from cliptune.config import RunConfig
from cliptune.files import write_text
from cliptune.results import store, summary, table

#: DAPT's published weights, and five times the weight of pull and push.
PUBLISHED = {"pull_push": 0.8, "foreground": 0.1, "background": 0.5}
STRONG = {"pull_push": 4.0, "foreground": 0.5, "background": 0.5}
#: The weights chosen for the tiny backbone: ten times the published weight of aligning foregrounds.
CHOSEN = {"foreground": 1.0}
#: Methods that DAPT wraps besides MaPLe.
BASES = (
    *("coop", "cocoop", "kgcoop", "prograd", "vpt", "language", "ivlp", "promptsrc", "restore", "dpl"),
    *("clip_adapter", "tip_adapter_f", "linear_probe"),
)
#: Method -> settings to try.
GRID: dict[str, list[dict[str, Any]]] = {
    "coop": [{"lr": 0.01}, {"lr": 0.03}, {"lr": 0.1}, {"lr": 0.3}],
    "maple": [{"lr": 0.005}, {"lr": 0.01}, {"lr": 0.02}],
    "language": [{"lr": 0.03}, {"lr": 0.1}, {"lr": 0.3}],
    "vpt": [{"lr": 0.003}, {"lr": 0.01}, {"lr": 0.03}, {"lr": 0.1}],
    "ivlp": [{"lr": 0.01}, {"lr": 0.03}],
    "promptsrc": [{"lr": 0.01}, {"lr": 0.03}, {"lr": 0.1}],
    "maple+dapt": [
        PUBLISHED,
        {"pull_push": 0.8, "foreground": 0.5, "background": 0.5},
        {"pull_push": 1.6, "foreground": 0.1, "background": 0.5},
        STRONG,
        {"pull_push": 10.0, "foreground": 0.5, "background": 0.5},
        {"masks_from": "maskclip"},
        {"masks_from": "maskclip", **STRONG},
        CHOSEN,
        {"foreground": 2.0},
        {"switch": 0.3, "foreground": 1.0},
        {"switch": 0.01, "foreground": 1.0},
        {"switch": 1.0},
        {"switch": 1.0, "pull_push": 2.0},
        {"switch": 1.0, "pull_push": 4.0},
        {"margin": 0.5, "pull_push": 2.0},
    ],
    **{f"{base}+dapt": [PUBLISHED, STRONG] for base in BASES},
    "coop+dapt": [PUBLISHED, STRONG, CHOSEN, {"pull_push": 4.0, **CHOSEN}],
    "tcp": [{"lr": 0.03}, {"lr": 0.1}, {"lr": 0.3}],
    "taskres": [{"lr": 0.0005}, {"lr": 0.002}, {"lr": 0.01}],
    "clip_lora": [{"lr": 0.0005}, {"lr": 0.002}],
    "two_stage_fs": [{"lr": 0.002}, {"lr": 0.005}],
    "promptkd": [{"epochs": 1, "lr": 0.005}, {"epochs": 1, "lr": 0.02}],
    "coprompt": [{"weight": 2.0}, {"weight": 8.0}],
    "hicropl": [{"lr": 0.0025}, {"lr": 0.005}],
    "cupl": [{}],
    "coop+dept": [{"rate": 1.0}, {"rate": 6.5}, {"rate": 1.0, "linear": 0.3}],
    "maple+dept": [{"rate": 1.0}, {"rate": 6.5}, {"rate": 1.0, "linear": 0.3}],
    "coop+atprompt": [{"lr": 0.01}, {"lr": 0.03}, {"lr": 0.1}],
    "maple+atprompt": [{"lr": 0.003}, {"lr": 0.01}],
    "dpt": [{"epochs": 10, "lr": 0.03}, {"epochs": 4, "lr": 0.01}, {"epochs": 4, "lr": 0.03}, {"epochs": 4, "lr": 0.1}],
    # Uses of exact masks and of masks provided by the model.
    "maple+copypaste": [
        {"pasted": 1.0, "masks_from": "data"},
        {"pasted": 2.0, "masks_from": "data"},
        {"masks_from": "data", "pasted": 4.0},
        {"instead": True, "masks_from": "data"},
        {"masks_from": "maskclip", "pasted": 0.5},
        {"masks_from": "maskclip", "pasted": 1.0},
        {"masks_from": "maskclip", "instead": True},
        {"pasted": 1.0, "masks_from": "gradcam"},
        {"pasted": 2.0, "masks_from": "gradcam"},
        {"instead": True, "masks_from": "gradcam"},
    ],
    "maple+dapt+copypaste": [
        {**STRONG, "masks_from": "data"},
        {"masks_from": "data", "pasted": 2.0, **STRONG},
    ],
}
COLUMNS = ("base", "novel", "hm", "base/same", "base/swapped", "base/gap")


def preset(name: str, base: dict[str, Any], out: Path) -> RunConfig:
    """The preset of a method, but DAPT's published weights; with the sentences about the sprites, and the teacher below
    `out`, if it reads them."""
    run = presets.get(name, **base)
    if "+dapt" in name:
        run = config.with_options(run, PUBLISHED)
    fields = {field.name for method in config.nested_methods(run.method) for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    inputs = {"descriptions": FILE, "teacher": str(teacher_folder(out))}
    return config.with_options(run, {key: value for key, value in inputs.items() if key in fields})


def teacher_folder(out: Path) -> Path:
    """The run directory of PromptKD's teacher, the same for all seeds of the student."""
    return out / "teacher" / "seed1"


def train_teacher(jobs: Sequence[sweep.Job], base: dict[str, Any], out: Path) -> None:
    """Tune PromptSRC on the base classes if a job that is to run has it as its teacher."""
    if any(str(teacher_folder(out)) in config.to_yaml(job.run) and sweep.job_state(job) != "done" for job in jobs):
        sweep.run_jobs([sweep.Job("promptsrc", presets.get("promptsrc", **base), teacher_folder(out))])


@dataclass(frozen=True)
class Options:
    """Seeds, data and output."""

    seeds: tuple[int, ...] = (1, 2)
    """Seeds of each setting."""
    data: str = "emoji:classes=validation"
    """Classes other than those of the benchmark."""
    methods: tuple[str, ...] = tuple(GRID)
    """Methods to run."""
    out: Path = Path("runs/choose")
    """Folder of records; a rerun does only what is missing."""


def main(options: Options) -> None:
    """Run the grids, then print and write the table."""
    base = {"data": options.data, "protocol": "base_to_novel"}
    runs = []
    for method in options.methods:
        for settings in GRID[method]:
            label = f"{method} " + " ".join(f"{key}={value}" for key, value in settings.items())
            runs.append((label, config.with_options(preset(method, base, options.out), settings)))
    entries, records = sweep.plan_jobs(runs, options.seeds, options.out), RESULTS / "choose"
    train_teacher(entries, base, options.out)
    sweep.run_jobs(entries)
    keep([entry.folder for entry in entries], options.out, records)
    text = table.to_markdown(summary.summarise(store.load_results(records), COLUMNS))
    sys.stdout.write(text + "\n")
    write_text(RESULTS / "choose.md", text + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
