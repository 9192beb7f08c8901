"""The files about a search: `best.yaml`, `trials.csv` and `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from cliptune import files, methods
from cliptune.config import RunConfig, method_to_dict, with_options
from cliptune.dataclass_io import to_plain
from cliptune.results.row_tables import write_rows
from cliptune.tuning.page import render_page
from cliptune.tuning.result import TuneResult, table_of
from cliptune.tuning.rows import TrialRow, best_row
from cliptune.tuning.space import Dimension
from cliptune.tuning.trial import Validation

#: Files besides the one of the best settings.
TABLE, PAGE = "trials.csv", "report.html"


def write_results(
    run: RunConfig,
    space: Sequence[Dimension],
    rows: Sequence[TrialRow],
    importance: Mapping[str, float],
    validation: Validation,
    out: Path,
) -> TuneResult:
    """Write `trials.csv`, `report.html` and `best.yaml`. run: The run that the search started from."""
    best = with_options(run, best_row(rows).settings)
    result = TuneResult(best, tuple(rows), tuple(space), importance, validation.images, validation.words, out)
    write_rows(out / TABLE, *table_of(rows, space))
    files.write_text(out / PAGE, render_page(result, run))
    files.write_text(result.preset, _preset_text(result))
    return result


def _preset_text(result: TuneResult) -> str:
    """The method and the training settings of the best trial as YAML, with comments about the search."""
    content = {"method": method_to_dict(result.run.method), "training": to_plain(result.run.training)}
    about = (
        f"# {methods.name_of(result.run.method)}: the best of {len(result.rows)} trials by accuracy, "
        f"{result.accuracy:.2f} % ({result.split})\n"
        f"# (starting settings {result.default.accuracy:.2f} %): {result.best.settings_text}\n"
    )
    return about + yaml.safe_dump(content, sort_keys=False)
