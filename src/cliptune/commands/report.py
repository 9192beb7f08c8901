"""`cliptune report FOLDER`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cliptune import checks, run_dir
from cliptune.commands.parse import parse, split_first
from cliptune.commands.run import print_tables
from cliptune.errors import UserError
from cliptune.files import check_file, write_text
from cliptune.hub.name import is_hub_name
from cliptune.report import reliance_records
from cliptune.report.describe import describe_training_data
from cliptune.report.report_data import ReportData
from cliptune.results import store
from cliptune.results.labels import label_methods, method_order, num_shots
from cliptune.types import Result


@dataclass(frozen=True)
class Report:
    """Print the table and write an HTML page: recommendation, tables, curves, classes, images, backgrounds."""

    out: Path | None = None
    """Output file; default: report.html in the folder, or for a run on the hub, in the current folder."""
    pictures: int = 8  # the name of the flag since its first version
    """Number of test images shown with the saliency of each method; 0 omits everything that needs checkpoints: images,
    classes, words, shifts."""
    images: int = 500
    """Maximum number of images per test set that checkpoints predict again, for the tables per class and the images."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""

    def __post_init__(self):
        checks.at_least(self, 0, "pictures")
        checks.at_least(self, 1, "images")


def report(arguments: list[str]) -> None:
    """Print the table of a folder of runs and write the page."""
    path, rest = split_first(arguments, "a folder of runs", "report runs/sweep")
    options = parse(Report, "report FOLDER", rest)
    out = options.out or (Path() if is_hub_name(path) else Path(path)) / "report.html"
    check_file(out)
    root = run_dir.find_run(path)
    results = store.load_results(root)
    print_tables(results)
    page = write_page(results, root, out, options.pictures, images=options.images, allow_code=options.allow_code)
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"page: {page}")


def write_page(
    results: list[Result],
    root: Path,
    out: Path,
    panels: int,
    *,
    images: int = 500,
    title: str = "cliptune report",
    notes: tuple[str, ...] = (),
    allow_code: bool = False,
) -> Path:
    """Write the page of `results`, with data collected from the checkpoints under `root`. Returns its path."""
    from cliptune.report import html_page

    write_text(
        out, html_page.render_page(results, _collect(root, panels, images, allow_code), title=title, notes=notes)
    )
    return out


def labelled_results(root: Path) -> dict[Path, Result]:
    """The results under `root` by run directory, with method labels as in tables."""
    loaded = [(path.parent, store.load_result(path)) for path in sorted(root.rglob(store.RESULT_FILE))]
    return dict(zip((folder for folder, _ in loaded), label_methods([result for _, result in loaded]), strict=True))


def _collect(root: Path, panels: int, images: int, allow_code: bool) -> ReportData:
    """Collect the files next to records, and data from checkpoints unless `panels` is 0."""
    from cliptune.report.collect.learned_prompts import collect_feature_shifts, collect_prompt_words
    from cliptune.report.collect.models import collect_confusion, restore_models
    from cliptune.report.collect.own_data import collect_own_data
    from cliptune.report.collect.panels import collect_panels

    results = labelled_results(root)
    reliance: dict[str, list[reliance_records.RelianceRecord]] = {}
    for folder, result in results.items():
        for record in reliance_records.run_reliance(folder):
            reliance.setdefault(result.method, []).append(record)
    if not panels:
        return ReportData(reliance=reliance)
    folders = checkpoints_of_one_task(root)
    restored = restore_models(folders, allow_code)
    if not any(test.examples for test in restored.task.tests.values()):
        note = f"{restored.task.dataset.name} has no test images, so checkpoints predict none."
        return ReportData(reliance=reliance, notes=(*restored.notes, note))
    first = results[next(iter(folders.values()))]
    training_data = describe_training_data([first])
    return ReportData(
        panels=collect_panels(restored, panels, images),
        classes=collect_confusion(restored, images),
        words=collect_prompt_words(restored),
        shifts=collect_feature_shifts(restored),
        reliance=reliance,
        own=collect_own_data(restored, folders, images),
        task=", ".join(filter(None, (first.data, training_data, f"seed {first.seed}"))),
        notes=restored.notes,
    )


def checkpoints_of_one_task(root: Path) -> dict[str, Path]:
    """Choose one checkpoint per method of one task: that with most methods, then most shots, then the lowest seed."""
    with_checkpoint = {
        folder: result for folder, result in labelled_results(root).items() if (folder / run_dir.CHECKPOINT).is_file()
    }
    if not with_checkpoint:
        raise UserError(f"no checkpoints under {root}, so no images can be shown; use --pictures 0")
    count = Counter(result.task for result in with_checkpoint.values())
    shots = {result.task: num_shots(result) or 0 for result in with_checkpoint.values()}
    seeds = {result.task: result.seed for result in with_checkpoint.values()}
    task = min(count, key=lambda t: (-count[t], -shots[t], seeds[t], t))
    folders = {result.method: folder for folder, result in with_checkpoint.items() if result.task == task}
    return {method: folders[method] for method in method_order(list(with_checkpoint.values())) if method in folders}
