"""Objects in notebooks: what they show, escaped, within limits and without network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import cliptune as ct
from cliptune.analysis.inspection import Inspection
from cliptune.config import RunConfig
from cliptune.methods.coop import CoOp
from cliptune.notebook.html import MAX_IMAGES, MAX_ROWS
from cliptune.results.row_tables import RowTable
from cliptune.results.summary import summarise
from cliptune.selection.select import Selection
from cliptune.tuned import Tuned
from cliptune.tuning.result import TuneResult
from cliptune.tuning.rows import TrialRow
from cliptune.tuning.space import Dimension
from tiny_tasks import write_images

EVIL = '<script src="https://evil.example/x.js"></script>'
#: Tags that an object may use, none of which loads or executes anything; images are data.
TAGS = {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "img", "pre"}


class Checker(HTMLParser):
    """Collects tags and attributes; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def checked(value):
    """The text of an object's HTML and its images, after checks that hold for all."""
    found = Checker(value._repr_html_())
    assert set(found.tags) <= TAGS
    for name, content in found.attributes:
        assert name in ("style", "src", "alt")
        assert name != "src" or content.startswith("data:image/jpeg;base64,")
        assert name != "style" or ("url" not in content and "#" not in content), "colours are those of the notebook"
    images = [content for name, content in found.attributes if name == "src"]
    assert len(images) <= MAX_IMAGES and sum(map(len, images)) < 200_000
    assert len(repr(value)) < 300 and "\n" not in repr(value)
    return found.text, images


def test_a_dataset(photos):
    data = ct.open_dataset(f"folder:{photos}")
    text, images = checked(data)
    assert repr(data) == "<Folder photos: 3 classes, 12 train, 6 val, 6 test images>"
    assert len(images) == 3 and "a photo of a {}." in text
    assert re.search(r"cat\s+4\s+2\s+2", text)


def test_masks_are_outlined(photos, cutouts):
    plain, outlined = (checked(ct.open_dataset(f"folder:{folder}"))[1] for folder in (photos, cutouts))
    assert len(plain) == len(outlined) == 3 and not set(plain) & set(outlined)


def test_many_classes(tmp_path):
    names = [f"class {i}" for i in range(50)]
    rows = [(torch.zeros(3, 8, 8, dtype=torch.uint8), i // 2) for i in range(100)]
    text, images = checked(ct.from_torch(rows, names, test=rows))
    assert len(images) == MAX_IMAGES and f"and {50 - MAX_ROWS} more rows" in text


def test_names_are_escaped():
    rows = [(torch.zeros(3, 8, 8, dtype=torch.uint8), i % 2) for i in range(12)]
    data = ct.from_torch(rows, [EVIL, 'a" onload="x'], name=EVIL)
    text, _ = checked(data)
    assert EVIL[:40] in text, "as text"
    assert EVIL[:40] in checked(RowTable((EVIL,), [{EVIL: EVIL}]))[0]


def test_an_image_that_cannot_be_read(tmp_path):
    folder = write_images(tmp_path / "photos")
    for file in (folder / "cat").iterdir():
        file.write_bytes(b"no image")
    text, images = checked(ct.open_dataset(f"folder:{folder}"))
    assert len(images) == 2 and "cannot be read" in text


def test_a_tuned_model(tuned, photos):
    text, images = checked(tuned)
    accuracy = tuned.result.metrics["test"]
    assert repr(tuned) == f"<Tuned coop on folder:{photos}, 3 classes, test {accuracy:.1f}>"
    for part in ("cat, horse, pig", "4 images per class, seed 1", f"{accuracy:.1f}", "trainable parameters", "–"):
        assert part in text
    assert re.search(r"\d+\.\d–\d+\.\d\s+6", text), "an interval, and the number of images"
    assert not images


def test_a_model_without_a_record(tuned, tmp_path):
    alone = ct.load(tuned.save(tmp_path / "model.safetensors"))
    assert "not evaluated" in checked(alone)[0]


def test_a_damaged_record_is_a_sentence(tuned, tmp_path):
    tuned.save(tmp_path)
    (tmp_path / "result.json").write_text("{")
    assert "result.json" in checked(ct.load(tmp_path))[0]


def test_a_result(tuned, photos):
    assert "95 % interval" in checked(tuned.result)[0]


def test_an_inspection(tuned):
    found = tuned.inspect(all_images=True)
    assert isinstance(found, Inspection)
    text, images = checked(found)
    assert re.search(r"test: \d+\.\d % of 6 images correct \(\d+\.\d–\d+\.\d\)", text)
    wrong = sum(min(6, int((~part.correct).sum())) for part in found.splits)
    assert len(images) == min(wrong, len(images)) and ("→" in text) == bool(wrong)


def test_tables(study):
    text, _ = checked(summarise(study))
    assert "maple+dapt" in text and "±" in text and "HM" in text and "* is the best of its column" in text
    rows = RowTable(("path", "n"), [{"path": f"{i}.png", "n": i} for i in range(100)])
    assert f"and {100 - MAX_ROWS} more rows" in checked(rows)[0]


def test_a_search_and_a_choice(tuned, record, tmp_path):
    rows = (
        TrialRow(0, "complete", 50.0, 1.0, {"lr": 0.1}, default=True),
        TrialRow(1, "failed", None, 1.0, {"lr": 0.5}, "out of memory"),
        TrialRow(2, "complete", 75.0, 1.0, {"lr": 0.01}),
    )
    run = RunConfig(CoOp(), f"folder:{EVIL}")
    found = TuneResult(run, rows, (Dimension("lr", "log", 1e-3, 1.0),), {}, 24, "2-fold cross-validation", tmp_path)
    text, _ = checked(found)
    assert "75.00 % with lr=0.01" in text and "+25.00 points" in text and "2 complete, 1 failed" in text
    board = dict(method="coop", accuracy=50.0, low=40.0, high=60.0, gain=1.0, p=None, parameters=1, seconds=1.0)
    chosen = Selection(tuned, "coop", "coop", True, f"coop wins {EVIL}", ("a note",), (board,))
    assert "coop wins <script" in checked(chosen)[0]


def test_reprs_do_not_read_files(tuned):
    assert repr(ct.load(Path(tuned.folder))).endswith("3 classes>"), "without metrics, which are in a file"
    assert isinstance(tuned, Tuned)


@pytest.mark.parametrize("kind", [Tuned, TuneResult, Selection, Inspection])
def test_results_of_public_functions_show_themselves(kind):
    assert callable(kind._repr_html_)
