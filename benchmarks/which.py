"""Write the first table of docs/results.md, which says which method to take when: records, published HM, and advice.

.venv/bin/python benchmarks/which.py
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from cliptune.commands import results_table
from cliptune.commands.parse import parse
from cliptune.files import write_text
from cliptune.results import store, table
from cliptune.results.published import load_published

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results.md"
#: Row -> the data that it needs besides labelled images of the base classes, and one line of advice.
ADVICE = {
    "zeroshot": ("no images", "The start: what every other row has to beat."),
    "cupl": ("no images; sentences about the classes", "No images, and names that say too little; as zero-shot here."),
    "tip_adapter_f": ("–", "Fixed classes, familiar backgrounds: highest base without masks, gap of 41."),
    "tip_adapter": ("–", "The same without training."),
    "linear_probe": ("–", "Fixed classes with many images each; no new names."),
    "taskres": ("–", "Fixed classes in seconds; new names stay as zero-shot; gap of 19."),
    "coop": ("–", "Fewest parameters; loses on novel."),
    "kgcoop": ("–", "Prompts in seconds; small gap."),
    "tcp": ("–", "As kgcoop; a network sees the names. Three times the steps: base +15, novel -5."),
    "promptsrc": ("–", "New names at test: no loss on novel measured; small gap."),
    "maple": ("–", "To compare with papers; trains both towers."),
    "coprompt": ("sentences about the classes", "New names at test, both towers; no loss on novel measured."),
    "hicropl": ("sentences about the classes", "As coprompt; half of the gap at three times the steps."),
    "mmrl": ("–", "High base on familiar backgrounds: gap of 36."),
    "mmrlpp": ("–", "As mmrl, with a gap of 24."),
    "clip_lora": ("–", "Low-rank changes of both towers: high base; loses on novel; gap of 33."),
    "clip_lora+dapt": ("masks", "DAPT adds 4.5 points on base and on swapped; copypaste adds 10."),
    "two_stage_fs": ("–", "LayerNorms, then a classifier: high base, new names as zero-shot; gap of 47."),
    "two_stage_fs+dapt": ("masks", "DAPT adds 8 points on base and on swapped; copypaste adds 26."),
    "two_stage_fs+copypaste": ("masks", "Exact masks: highest HM, gap of 18; the control of the row above."),
    "coop+dept": ("–", "Base +8 for coop; its classifier learns backgrounds, gap of 42."),
    "maple+dept+dapt": ("masks", "DAPT adds 6 points on base and 7 on swapped; copypaste adds 29."),
    "maple+dept+copypaste": ("masks", "Exact masks: highest base, gap of 16; the control of the row above."),
    "coop+atprompt": ("attribute words", "Gains on base vary most, novel falls."),
    "dpt": ("–", "Behind coop here on base; gap of 23."),
    "coop+dapt": ("masks", "With coop and masks: the gap narrows a little."),
    "maple+copypaste": ("masks", "Exact masks: what DAPT has to beat."),
    "promptkd": ("teacher; unlabelled images of all classes", "A pool of images and a better teacher than here."),
}
MORE = ("published HM", "extra data", "advice")
OPTIONS = "--seeds 1 2 3 --metrics base novel hm --cost"
#: Columns that the page leaves out.
DROPPED = ("data", "shots", "seeds", "seconds", "peak MiB")


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def published_hm(method: str) -> str:
    """The published average HM over the eleven datasets, "–" without any."""
    lines = [line for line in load_published() if line.method == method and line.metric == "hm"]
    values = [line.value for line in lines if (line.data, line.protocol) == ("average", "base_to_novel")]
    return f"{values[0]:.2f}" if values else "–"


def block() -> str:
    """The comment with the command, and the table."""
    records = store.load_results(ROOT / "benchmarks/results/emoji")
    names = [name for name in ADVICE if any(record.method == name for record in records)]
    arguments = f"--methods {' '.join(map(shlex.quote, names))} {OPTIONS}"
    options = parse(results_table.ResultsTable, "results table FOLDER", shlex.split(arguments))
    made = results_table.make_table(results_table.select_results(records, options.methods, options.seeds), options)
    head, line, *body = [cells(row) for row in table.to_markdown(made).splitlines() if row.startswith("|")]
    shown = [i for i, name in enumerate(head) if name not in DROPPED]
    rows = {row[0].partition(" (")[0]: [row[i] for i in shown] for row in body}
    lines = [
        [*(head[i] for i in shown), *MORE],
        [*(line[i] for i in shown), "--:", "---", "---"],
        *([*rows[name], published_hm(name), *ADVICE[name]] for name in names),
    ]
    command = f"cliptune results table benchmarks/results/emoji {arguments}; more: {', '.join(MORE)}"
    return f"<!-- {command} -->\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Replace the table on the page."""
    page, made = PAGE.read_text(encoding="utf-8"), block()
    write_text(PAGE, re.sub(r"<!-- [^>]*; more: [^>]*-->\n\n(\|.*\n)+", lambda _: made, page, count=1))


if __name__ == "__main__":
    main()
