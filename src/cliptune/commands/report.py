"""`cliptune report FOLDER`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cliptune import checks, claims
from cliptune.commands.parse import parse, split
from cliptune.commands.run import show
from cliptune.errors import UserError
from cliptune.files import check_file, write_text
from cliptune.results import reliance, store
from cliptune.results.about import amount
from cliptune.results.findings import Findings
from cliptune.results.variants import labelled, method_order, shots_of
from cliptune.types import Result


@dataclass(frozen=True)
class Report:
    """The table, and one self-contained page: which method to use, tables, curves, classes, pictures, backgrounds."""

    out: Path | None = None
    """The page; by default report.html in the folder."""
    pictures: int = 8
    """Test pictures shown with each method's saliency; 0 leaves out all that asks checkpoints: pictures, classes,
    words, shifts."""
    images: int = 500
    """Pictures of a test set at most that checkpoints answer again, for the tables by class and the pictures."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""

    def __post_init__(self):
        checks.at_least(self, 0, "pictures")
        checks.at_least(self, 1, "images")


def report(arguments: list[str]) -> None:
    """Read a folder of runs, print the table, write the page."""
    path, rest = split(arguments, "a folder of runs", "report runs/sweep")
    options = parse(Report, "report FOLDER", rest)
    root = Path(path)
    check_file(options.out or root / "report.html")
    results = store.load_all(root)
    show(results)
    page = write_page(
        results,
        root,
        options.out or root / "report.html",
        options.pictures,
        images=options.images,
        allow_code=options.allow_code,
    )
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"page: {page}")


def write_page(
    results: list[Result],
    root: Path,
    out: Path,
    pictures: int,
    *,
    images: int = 500,
    title: str = "cliptune report",
    notes: tuple[str, ...] = (),
    allow_code: bool = False,
) -> Path:
    """Render results and, from the checkpoints beside them, pictures and what else they show; returns the page's
    path."""
    from cliptune.results import html

    write_text(out, html.render(results, _found(root, pictures, images, allow_code), title=title, notes=notes))
    return out


def named_under(root: Path) -> dict[Path, Result]:
    """The results under `root` by their folders, their methods as tables name them."""
    placed = [(path.parent, store.load(path)) for path in sorted(root.rglob(store.NAME))]
    return dict(zip((folder for folder, _ in placed), labelled([result for _, result in placed]), strict=True))


def _found(root: Path, pictures: int, images: int, allow_code: bool) -> Findings:
    """What lies beside records, and what checkpoints say when asked."""
    from cliptune.gallery.classes import by_class
    from cliptune.gallery.pictures import panels
    from cliptune.gallery.rows import rows
    from cliptune.gallery.shifts import feature_shifts
    from cliptune.gallery.words import in_words

    named = named_under(root)
    kept: dict[str, list[reliance.Measured]] = {}
    for folder, result in named.items():
        for one in reliance.beside(folder):
            kept.setdefault(result.method, []).append(one)
    if not pictures:
        return Findings(reliance=kept)
    folders = first_seed(root)
    held = rows(folders, allow_code)
    first = named[next(iter(folders.values()))]
    few = amount([first])
    return Findings(
        panels=panels(held, pictures, images),
        classes=by_class(held, images),
        words=in_words(held),
        shifts=feature_shifts(held),
        reliance=kept,
        task=", ".join(filter(None, (first.data, few, f"seed {first.seed}"))),
        notes=held.notes,
    )


def first_seed(root: Path) -> dict[str, Path]:
    """For each row of the table the folder of one checkpoint, all of one task: that which most rows have, with the most
    shots, of the first seed."""
    there = {folder: result for folder, result in named_under(root).items() if (folder / claims.CHECKPOINT).is_file()}
    if not there:
        raise UserError(f"no checkpoints under {root}, so no pictures can be shown; use --pictures 0")
    count = Counter(result.task for result in there.values())
    shots = {result.task: shots_of(result) or 0 for result in there.values()}
    seeds = {result.task: result.seed for result in there.values()}
    task = min(count, key=lambda t: (-count[t], -shots[t], seeds[t], t))
    folders = {result.method: folder for folder, result in there.items() if result.task == task}
    return {method: folders[method] for method in method_order(list(there.values())) if method in folders}
