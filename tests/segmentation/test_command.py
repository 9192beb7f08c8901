import json
import os
import shlex
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from cliptune.segmentation import command, mask_folder
from cliptune.segmentation.command import CommandSegmenter
from cliptune.segmentation.make import make_masks
from tiny_tasks import drawings, write_images

#: The start of every child program: read the jobs, and make a mask of pixels brighter than 128.
START = """
import json, os, sys, time
from PIL import Image
path = next(word for word in sys.argv if word.endswith(".jsonl"))
jobs = [json.loads(line) for line in open(path, encoding="utf-8")]
def mask(job):
    return Image.open(job["image"]).convert("L").point(lambda v: 255 * (v > 128))
"""


@pytest.fixture
def child(tmp_path):
    """A function that returns a segmenter for a Python program with these lines, started in `tmp_path`."""

    def write(lines, more=""):
        script = tmp_path / "my tool.py"
        script.write_text(START + lines)
        return CommandSegmenter(f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {more}")

    return write


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Short waits, and a temporary folder that shows leftover files."""
    monkeypatch.setattr(command, "POLL_SECONDS", 0.02)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield
    assert list((tmp_path / "tmp").iterdir()) == [], "temporary files were left behind"


@pytest.fixture
def photos(tmp_path):
    return Folder(write_images(tmp_path / "photos", each=4))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_program_reads_a_list_and_makes_masks(photos, child, tmp_path):
    tool = child(
        """
open("seen.json", "w").write(json.dumps({"jobs": jobs, "words": sys.argv[1:]}))
for job in jobs:
    mask(job).save(job["output"])
""".replace("seen.json", str(tmp_path / "seen.json"))
    )
    examples = photos.examples("train")
    done = make_masks(photos, examples, tool, tmp_path / "out")
    assert (done.made, done.missing) == (len(examples), {})
    for example, file in zip(
        examples, mask_folder.mask_paths(photos, examples, tmp_path / "out").values(), strict=True
    ):
        with Image.open(example.path) as image:
            assert np.array_equal(pixels(file), 255 * (np.asarray(image.convert("L")) > 128))
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert [job["image"] for job in seen["jobs"]] == [str(e.path.absolute()) for e in examples]
    assert [job["classname"] for job in seen["jobs"]] == [photos.classnames[e.label] for e in examples]
    assert all(job["classnames"] == [job["classname"]] for job in seen["jobs"])
    assert len(seen["words"]) == 1 and seen["words"][0].endswith(".jsonl")


def test_the_placeholder_sets_the_position_of_the_list(photos, child, tmp_path):
    tool = child(f"open({str(tmp_path / 'words')!r}, 'w').write(' '.join(sys.argv[1:]))", "--in {list} --fast")
    make_masks(photos, photos.examples("train")[:1], tool, tmp_path / "out")
    first, path, last = (tmp_path / "words").read_text().split(" ")
    assert (first, last) == ("--in", "--fast") and path.endswith(".jsonl")


def test_rotated_images_are_written_upright_for_the_program(photos, child, tmp_path):
    tool = child("""
for job in jobs:
    assert Image.open(job["image"]).getexif().get(0x0112, 1) == 1
    mask(job).save(job["output"])
""")
    few = drawings().examples("train")[:3]
    assert make_masks(drawings(), few, tool, tmp_path / "drawn").made == 3
    turned = photos.examples("train")[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(turned.path).resize((30, 12)).save(turned.path, exif=exif)
    assert make_masks(photos, [turned], tool, tmp_path / "turned").made == 1
    assert pixels(tmp_path / "turned" / turned.key).shape == (30, 12)


def test_the_list_names_all_classes_of_an_image(child, tmp_path):
    tool = child(f"open({str(tmp_path / 'jobs')!r}, 'w').write(json.dumps(jobs))")
    few = [replace(drawings().examples("train")[0], label=1, labels=(1, 2))]
    make_masks(drawings(), few, tool, tmp_path / "out")
    (job,) = json.loads((tmp_path / "jobs").read_text())
    names = drawings().classnames
    assert (job["classname"], job["classnames"]) == (names[1], list(names[1:3]))


@pytest.mark.parametrize(
    "drawn, foreground",
    [("v > 128", 255), ("255 * (v > 128)", 255), ("100 * (v > 128)", 0), ("200 * (v > 128)", 255), ("v * 0", 0)],
)
def test_mask_values(photos, child, tmp_path, drawn, foreground):
    tool = child(f"""
for job in jobs:
    Image.open(job["image"]).convert("L").point(lambda v: {drawn}).save(job["output"])
""")
    (example, *_) = photos.examples("train")
    done = make_masks(photos, [example], tool, tmp_path / "out")
    assert int(pixels(tmp_path / "out" / example.key).max()) == foreground
    assert done.empty == (() if foreground else (example.key,))


def test_missing_or_invalid_masks_are_named(photos, child, tmp_path):
    examples = photos.examples("train")[:5]
    examples[4].path.write_bytes(b"junk")
    tool = child("""
assert len(jobs) == 4
mask(jobs[0]).save(jobs[0]["output"])
open(jobs[1]["output"], "wb").write(b"junk")
mask(jobs[2]).resize((5, 50)).save(jobs[2]["output"])
""")
    done = make_masks(photos, examples, tool, tmp_path / "out")
    assert done.made == 1 and list(done.missing) == [examples[i].key for i in (4, 1, 2, 3)]
    reasons = [done.missing[examples[i].key] for i in (1, 2, 3, 4)]
    words = ("cannot be read", "5x50 but its image is 64x64", "the program made none", str(examples[4].path))
    assert all(word in reason for word, reason in zip(words, reasons, strict=True)), reasons
    assert not any("cliptune-masks-" in reason for reason in reasons)


def test_a_failure_is_reported_and_keeps_finished_masks(photos, child, tmp_path):
    tool = child("""
for job in jobs[:2]:
    mask(job).save(job["output"])
print("loading weights", file=sys.stderr)
raise RuntimeError("no memory")
""")
    examples = photos.examples("train")
    with pytest.raises(
        UserError, match="exit status 1, with the output: .*RuntimeError: no memory; the masks made so far are saved"
    ):
        make_masks(photos, examples, tool, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
    # Another command resumes: options may only change the memory use.
    rest = child("for job in jobs: mask(job).save(job['output'])", "--small")
    done = make_masks(photos, examples, rest, tmp_path / "out")
    assert (done.made, done.existing) == (len(examples) - 2, 2)


def test_masks_are_collected_while_the_program_runs(photos, child, tmp_path):
    """The child waits until its first mask, at first partially written, has been collected."""
    tool = child(
        """
first, second = jobs[:2]
mask(first).save("whole.png")
whole = open("whole.png", "rb").read()
open(first["output"], "wb").write(whole[: len(whole) // 2])
time.sleep(0.2)
assert os.path.exists(first["output"]), "half a mask was taken"
open(first["output"], "wb").write(whole)
end = time.time() + 20
while os.path.exists(first["output"]) and time.time() < end:
    time.sleep(0.01)
assert not os.path.exists(first["output"]), "a whole mask was not taken"
mask(second).save(second["output"])
""".replace('"whole.png"', repr(str(tmp_path / "whole.png")))
    )
    assert make_masks(photos, photos.examples("train")[:2], tool, tmp_path / "out").made == 2


def test_the_program_starts_once_per_batch(photos, child, tmp_path):
    tool = child(f"open({str(tmp_path / 'starts')!r}, 'a').write(str(len(jobs)))")
    examples = photos.examples("train")[:5]
    make_masks(photos, examples, tool, tmp_path / "out")
    make_masks(photos, examples, tool, tmp_path / "out", batch_size=2)
    assert (tmp_path / "starts").read_text() == "5" + "221"


def test_the_program_is_stopped_with_the_parent(photos, child, tmp_path, monkeypatch):
    """Also a program that ignores the signal."""
    monkeypatch.setattr(command, "GRACE_SECONDS", 0.1)
    tool = child(f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
mask(jobs[0]).save(jobs[0]["output"])
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
time.sleep(60)
""")

    def stop(done, total):
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        make_masks(photos, photos.examples("train"), tool, tmp_path / "out", tick=stop)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    "command, words",
    [("", "no program after command:"), ("a 'b", "cannot be split"), ("no-such-program x", "cannot start 'no-such")],
)
def test_invalid_commands_are_refused(photos, tmp_path, command, words):
    with pytest.raises(UserError, match=words):
        make_masks(photos, photos.examples("train"), CommandSegmenter(command), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_grey_values_are_kept_on_request(photos, child, tmp_path):
    tool = child("""
for job in jobs:
    Image.open(job["image"]).convert("L").save(job["output"])
""")
    example = photos.examples("train")[0]
    make_masks(photos, [example], tool, tmp_path / "out", soft=True)
    with Image.open(example.path) as image:
        assert np.array_equal(pixels(tmp_path / "out" / example.key), np.asarray(image.convert("L")))
