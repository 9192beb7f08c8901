"""Registry of commands: `get("train")` is the function that `cliptune train` calls with the other arguments."""

from __future__ import annotations

from collections.abc import Callable

from cliptune.registry import Registry

#: Command -> its line in `cliptune --help`.
COMMANDS = {
    "demo": "tune on the bundled drawings with five methods: a table and a report page in about two minutes",
    "train": "train METHOD: tune on your data, e.g. cliptune train maple+dapt --data folder:photos",
    "auto": "choose a method for your data in a given time: cliptune auto --data folder:photos --time-limit 10m",
    "tune": "tune METHOD: search for its settings on validation images, e.g. cliptune tune coop --data folder:photos",
    "evaluate": "evaluate RUN: accuracy of a trained run on its own test images, or on others with --data",
    "predict": "predict RUN IMAGES...: the most probable classes of images",
    "app": "app RUN...: a page in the browser: drop images, edit class names, see saliency, compare runs",
    "serve": "serve RUN: the model behind a small HTTP API, with a page to try it",
    "export": "export RUN --to onnx --out FOLDER: a classifier for use without cliptune, or weights for open_clip",
    "push": "push RUN USER/MODEL: publish a run on the Hugging Face hub; commands take it as hf:USER/MODEL",
    "run": "run PROTOCOL: several methods and seeds, e.g. cliptune run base-to-novel --methods coop maple+dapt",
    "background": "background RUN...: how much accuracy depends on backgrounds, and whether attention is on the object",
    "report": "report FOLDER: the table and the page of the results of `run` or `demo`",
    "results": "results table FOLDER | published | import LOGS: tables, published numbers, logs of the research code",
    "import": "import FILE: convert a checkpoint of the authors' code (CoOp, MaPLe, ...) to a run",
    "data": "data list | check | download | show | duplicates | mislabelled: public datasets; samples and flaws of any",
    "masks": "masks check SOURCE | make: statistics of foreground masks, and new masks",
    "list": "list methods | backbones | data",
}
#: Commands whose module or function has another name: module and function.
RENAMED = {
    **{"list": "list_:list_", "import": "import_:import_"},
    **{group: f"groups:{group}" for group in ("data", "masks", "results")},
}
REGISTRY = Registry("command", others={n: f"{__name__}.{RENAMED.get(n, f'{n}:{n}')}" for n in COMMANDS})


def get(command: str) -> Callable[[list[str]], None]:
    """The function of a command. Raises `UserError` with the nearest names if there is none."""
    return REGISTRY.get(command)
