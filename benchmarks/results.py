"""The figures the README quotes: base-to-novel on the bundled drawings, five seeds, with controls. `make results`.

Every row is a full sweep entry: records and checkpoints go to --out, a rerun does only what is missing, and the records
and the table are copied to benchmarks/results/emoji/.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from cliptune import config, presets, sweep
from cliptune.commands.report import write_page
from cliptune.config import Run
from cliptune.files import write_text
from cliptune.results import summary, table

KEPT = Path(__file__).parent / "results" / "emoji"
#: Five times the published weight of pull and push, the prototype's choice; see results/choose.md for what validation
#: says.
STRONG = {"pull_push": 4.0, "foreground": 0.5, "background": 0.5}
COLUMNS = ("base", "novel", "hm", "base/same", "base/swap", "base/gap", "base/none")


@dataclass(frozen=True)
class Options:
    """Which seeds, on which classes, where to."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """One run a seed and row."""
    data: str = "emoji"
    """emoji, or emoji:classes=validation to choose settings on."""
    out: Path = Path("runs/results")
    """Checkpoints and records."""
    keep: bool = True
    """Copy records and table to benchmarks/results/emoji."""


def rows(data: str) -> list[tuple[str, Run]]:
    """Label and run of every row; controls are the same method with other settings."""
    base = {"data": data, "protocol": "base_to_novel"}
    maple = presets.get("maple", **base)
    dapt = presets.get("maple+dapt", **base)
    longer = config.with_options(maple, {"epochs": 3 * maple.training.epochs})
    return [
        ("zeroshot", presets.get("zeroshot", **base)),
        ("coop", presets.get("coop", **base)),
        ("maple", maple),
        ("maple, 3x steps", longer),
        ("coop+dapt", presets.get("coop+dapt", **base)),
        ("maple+dapt", dapt),
        ("maple+dapt, pull 4", config.with_options(dapt, STRONG)),
        ("maple+dapt, gradcam", config.with_options(dapt, {"masks_from": "gradcam"})),
    ]


def main(options: Options) -> None:
    """Run what is missing, print the table, keep the records."""
    entries = sweep.plan(rows(options.data), options.seeds, options.out)
    results = sweep.run(entries)
    text = table.to_markdown(summary.summarise(results, COLUMNS, cost=True))
    sys.stdout.write(text + "\n")
    write_page(results, options.out, options.out / "report.html", 8, title="cliptune on the bundled drawings")
    if options.keep:
        for entry in entries:
            target = KEPT / f"{entry.folder.parent.name}-{entry.folder.name}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(entry.folder / "result.json", target)
        write_text(KEPT / "table.md", text + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
