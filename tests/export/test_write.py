"""Exports of runs: the README's code runs without cliptune and gives the run's predictions, whatever the images."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import cliptune as ct
from cliptune import calibration
from cliptune.analysis.calibration import FittedTemperature
from cliptune.errors import UserError
from cliptune.export.comparison import compare, in_words, sample_tests
from cliptune.export.write import check_equal
from export.readme_code import answers, code_of, printed

CONTENTS = ["README.md", "classifier.json", "classify.py", "model.onnx"]
WITHOUT_TORCH = ("cliptune", "torch", "torchvision", "open_clip")


@pytest.fixture(scope="module")
def run(photos):
    return ct.train("vpt", f"folder:{photos}", shots=2, epochs=1, depth=2, n_ctx=2, lr=0.1, augment="crop")


@pytest.fixture(scope="module")
def frozen(photos):
    """A run that leaves the image tower as it is."""
    return ct.train("coop", f"folder:{photos}", shots=2, epochs=1, n_ctx=2, lr=0.1)


@pytest.fixture(scope="module")
def program(run, tmp_path_factory):
    return run.export(tmp_path_factory.mktemp("program") / "out", "torch")


@pytest.fixture(scope="module")
def odd_images(tmp_path_factory):
    """Photographs of odd sizes: wide, tall, transparent, rotated by EXIF, grey, CMYK, tiny."""
    root, random = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)

    def image(height, width, channels=3):
        coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), dtype=np.uint8)
        return Image.fromarray(coarse).resize((width, height))

    rotated = Image.Exif()
    rotated[0x0112] = 6
    image(75, 131).save(root / "wide.png")
    image(301, 90).save(root / "tall.png")
    image(80, 97, 4).save(root / "clear.png")
    image(90, 140).save(root / "turned.png", exif=rotated)
    image(99, 64).convert("L").save(root / "grey.png")
    image(70, 71).convert("CMYK").save(root / "print.tiff")
    image(9, 5).save(root / "small.png")
    return sorted(root.iterdir())


def test_onnx_needs_neither_torch_nor_cliptune(run, odd_images, tmp_path):
    pytest.importorskip("onnxscript")
    file = run.export(tmp_path / "out", "onnx")
    assert file == tmp_path / "out" / "model.onnx"
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no temporary folder is left"
    assert sorted(path.name for path in file.parent.iterdir()) == CONTENTS
    assert_same(answers(file.parent, odd_images, WITHOUT_TORCH), run.predict(odd_images))
    assert_same(printed(file.parent, odd_images), run.predict(odd_images))
    assert len(code_of(file.parent).splitlines()) <= 20
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    about = json.loads((file.parent / "classifier.json").read_text("utf-8"))
    kept = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(kept["classes"])) == tuple(about["classes"]) == run.classnames
    assert json.loads(kept["preprocessing"]) == about["preprocessing"]
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", about["input"]["shape"])
    assert (result.name, result.type, result.shape) == ("logits", "tensor(float)", about["output"]["shape"])
    measured = about["measured"]
    assert measured["test_images"] and measured["other_predictions"] == 0 and measured["largest_difference"] < 1e-4


def assert_same(got, expected, tolerance=1e-4):
    assert [name for name, _ in got] == [name for name, _ in expected]
    assert [p for _, p in got] == pytest.approx([p for _, p in expected], abs=tolerance)


def test_torch_loads_the_program_without_cliptune(run, program, odd_images):
    assert program.name == "model.pt2"
    assert_same(answers(program.parent, odd_images, ("cliptune", "open_clip", "torchvision")), run.predict(odd_images))


def test_numpy_has_the_classifier_of_frozen_features(frozen, odd_images, tmp_path):
    file = frozen.export(tmp_path / "out", "numpy")
    assert_same(answers(file.parent, odd_images, ()), frozen.predict(odd_images))
    arrays = np.load(file)
    assert tuple(arrays["classes"]) == frozen.classnames
    assert np.array_equal(arrays["class_matrix"], frozen.text_features().numpy())
    assert "cliptune" in code_of(file.parent), "the bundled backbone comes from cliptune"


@pytest.mark.parametrize("to", [*(pytest.param(to, marks=pytest.mark.slow) for to in ("numpy", "torch")), "onnx"])
def test_a_fitted_temperature_calibrates_the_code_of_the_readme(frozen, photos, odd_images, to, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnxscript")
    folder = frozen.save(tmp_path / "run").parent
    calibration.write_temperature(folder, FittedTemperature(2.5, (2.0, 3.0), 60, (1.0, 0.9)))
    run = ct.load(folder)
    file = run.export(tmp_path / "out", to)
    calibrated = run.predict(odd_images, calibrated=True)
    assert_same(answers(file.parent, odd_images, ()), calibrated)
    assert_same(printed(file.parent, odd_images), calibrated)
    assert all(p < before - 1e-3 for (_, p), (_, before) in zip(calibrated, run.predict(odd_images), strict=True))
    about = json.loads((file.parent / "classifier.json").read_text("utf-8"))
    assert about["temperature"] == {"temperature": 2.5, "interval": [2.0, 3.0], "images": 60, "nll": [1.0, 0.9]}


@pytest.mark.slow
def test_numpy_of_a_local_model_needs_open_clip_alone(photos, odd_images, tmp_path):
    folder = ct.train("clip_lora", f"folder:{photos}", shots=2, epochs=1).export(tmp_path / "clip").parent
    run = ct.train("zeroshot", f"folder:{photos}", shots=1, backbone=str(folder))
    file = run.export(tmp_path / "out", "numpy")
    assert_same(answers(file.parent, odd_images, ("cliptune",)), run.predict(odd_images))


def test_half_precision_says_what_it_costs(run, program, tmp_path):
    file = run.export(tmp_path / "out", "torch", half=True)
    about, text = json.loads((tmp_path / "out" / "classifier.json").read_text()), (tmp_path / "out" / "README.md")
    measured = about["measured"]
    assert about["precision"] == "float16" and measured["images"] == 6 and 0 < measured["largest_difference"] < 0.5
    assert measured["accuracy_of_the_run"] == pytest.approx(run.evaluate()["test"])
    assert f"accuracy {measured['accuracy']:.1f} %" in text.read_text()
    assert file.stat().st_size < 0.7 * program.stat().st_size


def test_eight_bits_say_what_they_cost(run, odd_images, tmp_path):
    pytest.importorskip("onnxscript")
    file = run.export(tmp_path / "out", "onnx", int8=True)
    about = json.loads((tmp_path / "out" / "classifier.json").read_text())
    measured = about["measured"]
    assert about["precision"] == "int8" and measured["images"] == 6 and measured["largest_difference"] > 1e-3
    assert f"accuracy {measured['accuracy']:.1f} %, of the run" in (tmp_path / "out" / "README.md").read_text()
    assert sorted(path.name for path in file.parent.iterdir()) == CONTENTS
    assert_same(answers(file.parent, odd_images, WITHOUT_TORCH), run.predict(odd_images), tolerance=0.2)


def test_without_test_images_random_pixels_are_compared(run):
    def missing():
        raise UserError("no folder at nowhere")

    sample = sample_tests(run.model, run.run, missing, 16)

    def other(images):
        return run.logits(torch.from_numpy(images)).numpy() + 0.23

    measured = compare(run.model, other, sample)
    assert measured["largest_difference"] == pytest.approx(0.23, abs=1e-3) and "accuracy" not in measured
    assert in_words(measured) == "logits differ by at most 0.2 on 8 images of random pixels (no folder at nowhere)"


@pytest.mark.parametrize(
    "to, more, reason",
    [
        ("numpy", {}, r"\(Vpt\) tunes the image tower .*; use --to onnx"),
        ("numpy", {"half": True}, "half is for the image tower"),
        ("open_clip", {"half": True}, "half is for the formats onnx and torch"),
        ("torch", {"int8": True}, "int8 is for the onnx format, not for torch"),
        ("onnx", {"int8": True, "half": True}, "half and int8 are two precisions of the same layers; choose one"),
        ("onyx", {}, "to must be one of open_clip, onnx, torch, numpy, got 'onyx'"),
    ],
)
def test_what_a_format_cannot_contain_is_refused(run, to, more, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        run.export(tmp_path / "out", to, **more)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'onnxruntime, which is not installed: pip install "cliptune\[onnx\]"'):
        run.export(tmp_path / "out", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_not_overwritten(frozen, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UserError, match="README.md that is not of an export"):
        frozen.export(tmp_path, "numpy")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    frozen.export(tmp_path / "out", "numpy")
    other = frozen.with_classes(["a sled", "the sky", "x"]).export(tmp_path / "out", "numpy")
    assert list(np.load(other)["classes"]) == ["a sled", "the sky", "x"], "an export may be replaced"


def test_other_logits_are_refused(run):
    with pytest.raises(UserError, match="the file gives other logits, by up to 0.02, so nothing was written"):
        check_equal("Vpt", {"largest_difference": 0.02, "largest_logit": 30.0})
    check_equal("Vpt", {"largest_difference": 2e-4, "largest_logit": 30.0})
