"""Results quoted in the documentation: base-to-novel on the bundled sprites, with controls. `make results`.

    .venv/bin/python benchmarks/results.py                                  the README's rows, five seeds
    .venv/bin/python benchmarks/results.py --rows family --seeds 1 2 3      every method, with DAPT and controls
    .venv/bin/python benchmarks/results.py --rows background                uses of masks, and reliance on backgrounds
    .venv/bin/python benchmarks/results.py --rows weights --seeds 1 2 3 4 5 6 7 8 9 10     weights of DAPT, its switch

Records and checkpoints are written to --out; a rerun does only what is missing. Records and the table are copied to
benchmarks/results/emoji/. To use several cores, run --part 1/2 and --part 2/2 at the same time with OMP_NUM_THREADS=1,
then the command without --part for the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from choose import STRONG, preset, train_teacher
from keep import RESULTS
from tables import TableOptions, make_table

from cliptune import config, methods, presets
from cliptune.commands.report import write_page
from cliptune.config import RunConfig

RECORDS = RESULTS / "emoji"
COLUMNS = ("base", "novel", "hm", "base/same", "base/swapped", "base/gap", "base/plain")
#: Wrappers besides DAPT, and the methods that they wrap here.
WRAPPERS, WRAPPED = ("dept", "atprompt"), ("coop", "maple")
#: Methods for which validation chose the strong pull over the published one (results/choose.md), and MaPLe to compare.
STRONGER = ("coop", "cocoop", "kgcoop", "prograd", "language", "linear_probe", "maple")


@dataclass(frozen=True)
class Options(TableOptions):
    """Rows, data and output."""

    rows: Literal["main", "family", "background", "weights"] = "main"
    """The table to make."""
    data: str = "emoji"
    """emoji, or emoji:classes=validation to choose settings on."""
    out: Path = Path("runs/results")
    """Folder for checkpoints and records."""
    keep: bool = True
    """Copy records and table to benchmarks/results/emoji."""
    kinds: tuple[Literal["alone", "dapt", "longer", "copypaste"], ...] = ("alone", "dapt", "longer", "copypaste")
    """Only rows of methods alone, with DAPT, for three times the steps, or with copypaste."""
    page: bool = False
    """Also write OUT/report.html with images, which takes minutes for dozens of rows."""


def kind(label: str) -> str:
    """The kind of a row: alone, dapt, longer or copypaste."""
    signs = {"copypaste": "+copypaste", "longer": "3x steps", "dapt": "+dapt"}
    return next((name for name, sign in signs.items() if sign in label), "alone")


def main_rows(base: dict[str, Any], out: Path) -> list[tuple[str, RunConfig]]:
    """Label and configuration of every row; controls are the same method with other settings."""
    maple, dapt = presets.get("maple", **base), preset("maple+dapt", base, out)
    longer = config.with_options(maple, {"epochs": 3 * maple.training.epochs})
    return [
        ("zeroshot", presets.get("zeroshot", **base)),
        ("coop", presets.get("coop", **base)),
        ("maple", maple),
        ("maple, 3x steps", longer),
        ("coop+dapt", preset("coop+dapt", base, out)),
        ("coop+dapt, foreground 1", presets.get("coop+dapt", **base)),
        ("maple+dapt", dapt),
        ("maple+dapt, foreground 1", presets.get("maple+dapt", **base)),
        ("maple+dapt, pull 4", config.with_options(dapt, STRONG)),
        ("maple+dapt, gradcam", config.with_options(dapt, {"masks_from": "gradcam"})),
    ]


def weights_rows(base: dict[str, Any], out: Path) -> list[tuple[str, RunConfig]]:
    """MaPLe, and DAPT around it: published and chosen weights, pull-push throughout, and the release's phases."""
    dapt = preset("maple+dapt", base, out)
    return [
        ("maple", presets.get("maple", **base)),
        ("maple+dapt", dapt),
        ("maple+dapt, foreground 1", presets.get("maple+dapt", **base)),
        ("maple+dapt, switch 1", config.with_options(dapt, {"switch": 1.0})),
        ("maple+dapt, release", config.with_options(dapt, {"compat": "release"})),
    ]


def family_rows(base: dict[str, Any], out: Path) -> list[tuple[str, RunConfig]]:
    """Every method; with DAPT and the controls if it trains."""
    plain = [name for name in methods.names() if not methods.is_wrapper(methods.get(name))]
    rows = []
    for name in [*plain, *(f"{inner}+{wrapper}" for wrapper in WRAPPERS for inner in WRAPPED)]:
        run = preset(name, base, out)
        rows.append((name, run))
        if not run.method.trains:
            continue
        rows.append((f"{name}+dapt", preset(f"{name}+dapt", base, out)))
        rows.append((f"{name}+copypaste", preset(f"{name}+copypaste", base, out)))
        if name in STRONGER:
            rows.append((f"{name}+dapt, pull 4", config.with_options(presets.get(f"{name}+dapt", **base), STRONG)))
        if run.method.epochs is None:  # a search determines its own length
            longer = config.with_options(run, {"epochs": 3 * run.training.epochs})
            rows.append((f"{name}, 3x steps", longer))
    return rows


def background_rows(base: dict[str, Any], out: Path) -> list[tuple[str, RunConfig]]:
    """Uses of exact masks and of two kinds that the model provides; rows of the README keep their labels."""
    rows = [row for row in main_rows(base, out) if row[0].startswith("maple")]
    uses = [("maple+copypaste", {"pasted": 2.0}), ("maple+dapt+copypaste", {"pasted": 2.0} | STRONG)]
    for source in ("data", "maskclip", "gradcam"):
        for name, settings in [*uses, ("maple+dapt", STRONG)][: 3 if source == "maskclip" else 2]:
            run = config.with_options(presets.get(name, **base), {"masks_from": source, **settings})
            weights = [label for label, key in (("pull 4", "pull_push"), ("paste 2", "pasted")) if key in settings]
            rows.append((", ".join([name, *weights, *([] if source == "data" else [source])]), run))
    return rows


ROWS = {"main": main_rows, "family": family_rows, "background": background_rows, "weights": weights_rows}


def main(options: Options) -> None:
    """Run what is missing, print the table and copy the records."""
    base = {"data": options.data, "protocol": "base_to_novel"}
    rows = [row for row in ROWS[options.rows](base, options.out) if kind(row[0]) in options.kinds]
    name = "table" if options.rows == "main" else options.rows
    records = RECORDS if options.keep else None
    results = make_table(
        rows, options, options.out, records, name, COLUMNS, before=partial(train_teacher, base=base, out=options.out)
    )
    if results and options.page:
        write_page(results, options.out, options.out / "report.html", 8, title="cliptune on the bundled emoji sprites")


if __name__ == "__main__":
    main(tyro.cli(Options))
