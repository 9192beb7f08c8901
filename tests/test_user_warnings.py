"""Warnings name the line that called a public function, whichever function of cliptune gives them."""

import ast
import linecache
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

import cliptune as ct
from cliptune import user_warnings
from cliptune.user_warnings import program_frame, warn_user
from tiny_tasks import write_images

SOURCES = Path(user_warnings.__file__).parent
QUICK = {"epochs": 1, "min_steps": 0, "augment": "none", "batch_size": 8}
#: Public functions that are called below; the others of `ct` are classes.
FUNCTIONS = {"auto", "from_torch", "import_checkpoint", "load", "load_backbone", "open_dataset", "train", "tune"}
#: Attributes of a tuned model that compute nothing.
PLAIN = {"classnames", "result", "temperature"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return f"folder:{write_images(tmp_path_factory.mktemp('data') / 'photos')}"


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    ct.train("clip_lora", data, shots=2, out=out, **QUICK)
    return out


@pytest.fixture(scope="module")
def run(folder):
    return ct.load(folder)


@contextmanager
def places_of_warnings():
    """The files and lines that warnings of any function of cliptune called in the block would name."""
    found = set()

    def look(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(user_warnings.PACKAGE):
            place = program_frame(frame)
            found.add((place.f_code.co_filename, place.f_lineno) if place else None)

    sys.setprofile(look)
    threading.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def image(data):
    return Path(data.partition(":")[2]) / "cat" / "0.png"


CALLS = {
    "train": lambda run, data, out: ct.train("maple+dapt", data, shots=2, masks_from="full", **QUICK),
    "auto": lambda run, data, out: ct.auto(data, methods=["coop"], out=out, folds=2, shots=2, **QUICK),
    "tune": lambda run, data, out: ct.tune("coop", data, trials=2, folds=2, out=out, shots=2, **QUICK),
    "load": lambda run, data, out: ct.load(run.folder),
    "open_dataset": lambda run, data, out: ct.open_dataset(data),
    "load_backbone": lambda run, data, out: ct.load_backbone("tiny"),
    "from_torch": lambda run, data, out: ct.from_torch(
        [(Image.new("RGB", (8, 8)), i % 2) for i in range(8)], ["0", "1"]
    ),
    "Tuned.evaluate": lambda run, data, out: run.evaluate(data),
    "Tuned.predictions": lambda run, data, out: run.predictions(),
    "Tuned.inspect": lambda run, data, out: run.inspect(all_images=True),
    "Tuned.calibrate": lambda run, data, out: run.calibrate(),
    "Tuned.plot": lambda run, data, out: run.plot("saliency"),
    "Tuned.predict": lambda run, data, out: run.predict(image(data)),
    "Tuned.logits": lambda run, data, out: run.logits([image(data)]),
    "Tuned.image_features": lambda run, data, out: run.image_features(image(data)),
    "Tuned.text_features": lambda run, data, out: run.text_features(),
    "Tuned.with_classes": lambda run, data, out: run.with_classes(["ant", "bee"]),
    "Tuned.save": lambda run, data, out: run.save(out),
    "Tuned.export": lambda run, data, out: run.export(out),
    "Tuned.as_module": lambda run, data, out: run.as_module()(torch.zeros(1, 3, 64, 64)),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wherever_a_public_function_warns_it_names_the_line_of_the_caller(name, run, data, tmp_path):
    with places_of_warnings() as found:
        try:
            CALLS[name](run, data, tmp_path / "out")
        except ct.UserError:  # such as: no temperature fits. The warnings came before
            assert name == "Tuned.calibrate"
    ((file, line),) = found
    assert file == __file__ and f'"{name}": ' in linecache.getline(file, line)


def test_every_public_function_is_called_here():
    public = {name for name in ct.__all__ if not isinstance(getattr(ct, name), type)}
    assert public == FUNCTIONS
    methods = {f"Tuned.{name}" for name in vars(ct.Tuned) if not name.startswith("_") and name not in PLAIN}
    assert public | methods == {*CALLS, "import_checkpoint", "Tuned.push"}, "these need a file of others, or a server"


def test_all_warnings_are_given_through_one_function():
    for file in SOURCES.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "warn" in text else ():
            if (
                isinstance(node, ast.Attribute)
                and node.attr.startswith("warn")
                and ast.unparse(node) in ("warnings.warn", "warnings.warn_explicit")
            ):
                assert file.name == "user_warnings.py", f"{file}:{node.lineno}: use warn_user"


def test_a_warning_is_shown_with_its_line():
    images = [(Image.new("RGB", (8, 8)), i % 2) for i in range(8)]
    with pytest.warns(match="are not words") as caught:
        ct.from_torch(images, ["0", "1"])
    assert caught[0].filename == __file__ and "ct.from_torch(" in linecache.getline(__file__, caught[0].lineno)


def test_each_line_is_warned_once():
    """As Python's default filter shows equal warnings once per line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            outside()
    assert [str(one.message) for one in caught] == ["mind the step"]
    globals().pop("__warningregistry__", None)


def outside():
    """Stands for a program: `warn_user` has no function of cliptune but itself on the stack."""
    warn_user("mind the step")


INSIDE = """
def start(pool, action):
    return pool.submit(action).result()

def action():
    warn_user("a thread")
"""


def test_threads_of_cliptune_name_the_line_in_the_main_thread():
    inside = {"warn_user": warn_user}
    exec(compile(INSIDE, f"{user_warnings.PACKAGE}inside.py", "exec"), inside)
    with pytest.warns(match="a thread") as caught, ThreadPoolExecutor(1) as pool:
        inside["start"](pool, inside["action"])
    assert caught[0].filename == __file__ and 'inside["start"]' in linecache.getline(__file__, caught[0].lineno)


def test_threads_of_the_program_name_their_own_line(run, data):
    def predict():
        return run.predict(image(data))

    with places_of_warnings() as found, ThreadPoolExecutor(1) as pool:
        pool.submit(predict).result()
    ((file, line),) = found
    assert file == __file__ and "run.predict(" in linecache.getline(file, line)
