"""Registry of commands: `get("train")` is the function that `cliptune train` calls with the other arguments."""

from __future__ import annotations

from collections.abc import Callable

from cliptune.registry import Registry

#: Command -> what `cliptune --help` says of it.
COMMANDS = {
    "demo": "tune on the bundled drawings with five methods: a table and a page of pictures in about two minutes",
    "train": "train METHOD: tune on your data, e.g. cliptune train maple+dapt --data folder:photos",
    "evaluate": "evaluate RUN: accuracy of a trained run on its own test pictures, or on others with --data",
    "predict": "predict RUN IMAGES...: the classes of pictures, with probabilities",
    "run": "run PROTOCOL: several methods and seeds, e.g. cliptune run base-to-novel --methods coop maple+dapt",
    "background": "background RUN...: what accuracy is owed to backgrounds, and how much attention goes to the object",
    "report": "report FOLDER: the table and the page of what `run` or `demo` left there",
    "results": "results table FOLDER | published | import LOGS | export FOLDER: tables, papers' numbers, old logs",
    "import": "import FILE: a checkpoint of the authors' code (CoOp, MaPLe, ...) as a run for evaluate and predict",
    "data": "data list | check ROOT | download NAMES | show DATA: public datasets on your disk, samples of any data",
    "masks": "masks check SOURCE | make: what foreground masks are like, and new ones",
    "list": "list methods | backbones | data",
}
#: Commands whose module or function has another name.
RENAMED = {"evaluate": "train:evaluate", "list": "list_:list_", "import": "import_:import_"}
REGISTRY = Registry("command", others={n: f"{__name__}.{RENAMED.get(n, f'{n}:{n}')}" for n in COMMANDS})


def get(command: str) -> Callable[[list[str]], None]:
    """The function of a command. Raises `UserError` with the nearest names if there is none."""
    return REGISTRY.get(command)
