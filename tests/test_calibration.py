"""The temperature of a run: which images it is fitted on, where it is stored, and what uses it."""

import json
import shutil
import warnings

import pytest
import torch

import cliptune as ct
from cliptune.calibration import CALIBRATION, validation_images
from cliptune.tasks import build_task
from tiny_tasks import task


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the temperature is .* which are few")
        yield


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """A run whose six validation images it classifies partly."""
    out = tmp_path_factory.mktemp("runs") / "run"
    ct.train("zeroshot", data=f"folder:{photos}", shots=1, out=out)
    return out


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "run")


@pytest.fixture
def fake(monkeypatch):
    """Logits of the labels in batches, with one mistake, and the keys of the images that are predicted."""
    seen = []

    def batches(model, dataset, test, **_):
        seen.extend(e.key for e in test.examples)
        rows = torch.nn.functional.one_hot(torch.tensor([e.label for e in test.examples]), len(test.classnames)) * 4.0
        rows[0] = rows[0].roll(1)
        return rows.split(4)

    monkeypatch.setattr("cliptune.engine.evaluate_task.predict_batches", batches)
    return seen


def test_only_validation_images_are_used(copied, fake):
    run = ct.load(copied)
    assert run.temperature is None
    fitted = run.calibrate()
    dataset = build_task(run.run).dataset
    assert sorted(fake) == sorted(e.key for e in dataset.examples("val")) and fitted.images == len(fake)
    assert not {e.key for e in dataset.examples("test")} & set(fake)
    assert ct.load(copied).temperature == fitted == run.temperature
    assert json.loads((copied / CALIBRATION).read_text())["fitted_on"] == "validation images"


def test_images_that_are_trained_or_tested_on_are_left_out():
    toy = task()
    every = validation_images(toy)
    assert every == toy.val  # the task has fewer classes than its data
    assert validation_images(type(toy)(**{**vars(toy), "train": (*toy.train, every[0])})) == every[1:]


def test_predictions_use_it_on_request(copied, photos, fake):
    run = ct.load(copied)
    path = photos / "cat" / "0.png"
    with pytest.raises(ct.UserError, match="no temperature.*--calibrate"):
        run.predict(path, calibrated=True)
    value = run.calibrate().temperature
    name, share = run.predict(path, calibrated=True)
    scaled = (run.logits(path) / value).softmax(-1)
    assert share == pytest.approx(scaled.max().item()) and run.predict(path)[0] == name
    inspection = run.inspect(calibrated=True)
    assert inspection.temperatures == {"test": value}
    expected = (torch.tensor([4.0, 0, 0]) / value).softmax(-1).max().item()
    assert list(inspection.predictions()["predicted_probability"]) == pytest.approx([expected] * 6)
    assert inspection.metrics == run.inspect().metrics


def test_other_classes_keep_their_probabilities(copied, fake, tmp_path):
    from tiny_tasks import write_images

    run = ct.load(copied)
    run.calibrate()
    write_images(tmp_path / "others", classes=("mouse", "bear"), each=3)
    with pytest.warns(UserWarning, match="fitted for other classes than those of test"):
        inspection = run.inspect(f"folder:{tmp_path / 'others'}", calibrated=True)
    assert inspection.temperatures == {}
    with pytest.raises(ct.UserError, match="no temperature"):
        run.with_classes(["mouse", "bear"]).inspect(calibrated=True)


def test_it_is_saved_with_the_model(photos, tmp_path, fake):
    run = ct.train("zeroshot", data=f"folder:{photos}", shots=1)
    fitted = run.calibrate()
    run.save(tmp_path / "saved")
    assert ct.load(tmp_path / "saved").temperature == fitted
    run.save(tmp_path / "file.safetensors")
    assert ct.load(tmp_path / "file.safetensors").temperature is None
    written = ct.train("zeroshot", data=f"folder:{photos}", shots=1, out=tmp_path / "out")
    assert ct.load(tmp_path / "out").temperature is None
    written.calibrate()
    assert ct.load(tmp_path / "out").temperature == fitted


def test_a_temperature_of_another_checkpoint_is_refused(copied, fake):
    ct.load(copied).calibrate()
    file = copied / CALIBRATION
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"checkpoint": "0" * 64}))
    with pytest.raises(ct.UserError, match="fitted for another checkpoint.*--calibrate"):
        ct.load(copied).predict([], calibrated=True)
    for damaged in ("{", "[]", "{}", json.dumps(content | {"temperature": -1}), json.dumps(content | {"images": "x"})):
        file.write_text(damaged)
        with pytest.raises(ct.UserError, match="contains no temperature"):
            _ = ct.load(copied).temperature


def test_data_without_validation_images(folder, monkeypatch):
    run = ct.load(folder)
    monkeypatch.setattr("cliptune.calibration.validation_images", lambda task: ())
    with pytest.raises(ct.UserError, match="no validation images"):
        run.calibrate()
    assert not (folder / CALIBRATION).exists()


def test_commands(cli, copied, photos, fake):
    refused = cli("predict", copied, photos / "cat" / "0.png", "--calibrated")
    assert refused.code == 2 and f"cliptune evaluate {copied} --calibrate" in refused.err
    result = cli("evaluate", copied, "--calibrate")
    assert result.code == 0 and "expected calibration error" in result.out and "6 validation images" in result.out
    assert "6 validation images, which are few" in result.err
    lines = [line.split() for line in result.out.splitlines() if line.startswith("  test")]
    assert [line[1] for line in lines][0] == "1" and len(lines) == 2
    assert cli("evaluate", copied, "--calibrated").out == result.out
    shares = [cli("predict", copied, photos / "cat" / "0.png", *more).out for more in ((), ("--calibrated",))]
    assert shares[0] != shares[1]
    both = cli("predict", copied, photos / "cat" / "0.png", "--calibrated", "--classes", "a", "b")
    assert both.code == 2 and "classes of training" in both.err
