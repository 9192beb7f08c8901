"""Files whose content changes under the same path are noticed when a run is repeated or resumed."""

import json
import shutil
from dataclasses import replace

import pytest

from cliptune import experiment, inputs, model_io, run_dir
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.engine.config import TrainConfig
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.coprompt import CoPrompt
from cliptune.methods.cupl import Cupl
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.methods.promptkd import PromptKd
from cliptune.results.store import load_result
from cliptune.tasks import build_task
from folder_datasets import write_class_folders
from tiny_tasks import DESCRIPTIONS, task

CHANGED = "{} changed since the run in .* restore it, choose another folder with --out, or remove that one"
QUICK = TrainConfig(epochs=2, batch_size=6, augment="none")


class Stop(Exception):
    pass


class Stopper(Watcher):
    def epoch(self, row):
        raise Stop


@pytest.fixture
def sentences(tmp_path):
    return shutil.copy(DESCRIPTIONS, tmp_path / "sentences.json")


def rewrite(path):
    """Other sentences in a file of the same size."""
    path.write_text(path.read_text().replace("shows", "draws"))


def test_other_sentences_in_the_folder_of_a_finished_run(sentences, tmp_path):
    run, folder = RunConfig(Cupl(str(sentences))), tmp_path / "run"
    _, result = experiment.run_experiment(run, folder, task=task())
    assert result.provenance["inputs"] == json.loads((folder / "inputs.json").read_text()) == inputs.file_digests(run)
    assert run_dir.is_done(folder, run)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    rewrite(sentences)
    for again in (lambda: run_dir.is_done(folder, run), lambda: experiment.run_experiment(run, folder, task=task())):
        with pytest.raises(UserError, match=CHANGED.format(sentences)):
            again()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    with pytest.warns(UserWarning, match=f"{sentences} changed since the run .* predictions may differ"):
        model_io.load_model(folder)
    sentences.unlink()
    assert run_dir.is_done(folder, run) and load_result(folder / "result.json") == result


@pytest.mark.filterwarnings("ignore:.*has no sentences")
def test_other_sentences_before_an_interrupted_run_continues(sentences, tmp_path):
    run, folder = RunConfig(CoPrompt(2, 2, descriptions=str(sentences)), training=QUICK), tmp_path / "run"
    with pytest.raises(Stop):
        experiment.run_experiment(run, folder, task=task(), watchers=[Stopper()])
    own = sentences.read_text()
    rewrite(sentences)
    with pytest.raises(UserError, match=CHANGED.format(sentences)):
        experiment.run_experiment(run, folder, task=task())
    sentences.write_text(own)
    experiment.run_experiment(run, folder, task=task())


def test_what_nothing_was_trained_with_is_replaced(sentences, tmp_path):
    run, folder = RunConfig(Cupl(str(sentences))), tmp_path / "run"
    run_dir.claim_run_dir(folder, run)
    (folder / "coreset.json").touch()
    rewrite(sentences)
    run_dir.claim_run_dir(folder, run)
    assert not (folder / "coreset.json").exists()
    assert json.loads((folder / "inputs.json").read_text()) == inputs.file_digests(run)


def test_records_of_earlier_versions_and_runs_without_files(sentences, tmp_path):
    run, folder = RunConfig(Cupl(str(sentences))), tmp_path / "run"
    experiment.run_experiment(run, folder, task=task())
    (folder / "inputs.json").unlink()
    rewrite(sentences)
    assert run_dir.is_done(folder, run) and not (folder / "inputs.json").exists()
    assert inputs.file_digests(RunConfig(Maple())) == {}
    (folder / "inputs.json").write_text("[")
    with pytest.raises(UserError, match="inputs.json cannot be read"):
        run_dir.is_done(folder, run)


@pytest.mark.parametrize("kind", ["teacher", "teacher file", "weights", "table", "draws"])
def test_every_file_that_a_run_names(kind, tmp_path):
    folder = tmp_path / "named"
    folder.mkdir()
    file = folder / "checkpoint.safetensors"
    (folder / "result.json").write_text("of the teacher")
    run = {
        "teacher": RunConfig(PromptKd(str(folder))),
        "teacher file": RunConfig(PromptKd(str(file))),
        "weights": RunConfig(Maple(), backbone="ViT-B-16", pretrained=str(file)),
        "table": RunConfig(Maple(), data=f"csv:{file}"),
        "draws": RunConfig(Maple(), reading=DataConfig(draws=str(file))),
    }[kind]
    file.write_bytes(bytes(1000))
    before = inputs.file_digests(run)
    (folder / "result.json").write_text("of another training of the teacher")
    assert len(before) == 1 and inputs.file_digests(run) == before
    file.write_bytes(bytes(999) + b"1")
    assert inputs.file_digests(run).keys() == before.keys() and inputs.file_digests(run) != before


def test_large_files_are_read_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "WHOLE_BYTES", 100)
    monkeypatch.setattr(inputs, "BLOCK_BYTES", 10)
    file = tmp_path / "large.json"
    run = RunConfig(Cupl(str(file)))
    digests = set()
    for content in (bytes(5000), bytes(4999) + b"1", b"1" + bytes(4999), bytes(5001)):
        file.write_bytes(content)
        digests.add(inputs.file_digests(run)[str(file)])
    assert len(digests) == 4


def test_training_images_and_their_masks(tmp_path):
    data = write_class_folders(tmp_path / "photos", cat=4, dog=4)
    shutil.copytree(data, tmp_path / "photos-masks")
    run = RunConfig(Dapt(Maple(), masks_from="beside"), data=f"folder:{data}", shots=0)

    def digests(run=run):
        return inputs.example_digests(run, build_task(run))

    first = digests()
    assert first.keys() == {inputs.EXAMPLES, inputs.MASKS} and digests() == first
    for mask in (tmp_path / "photos-masks").rglob("*.png"):
        mask.write_bytes(mask.read_bytes() + b"more")
    assert digests()[inputs.EXAMPLES] == first[inputs.EXAMPLES] and digests()[inputs.MASKS] != first[inputs.MASKS]
    for image in data.rglob("*.png"):
        image.write_bytes(image.read_bytes() + b"more")
    assert digests()[inputs.EXAMPLES] != first[inputs.EXAMPLES]
    assert digests(replace(run, method=Maple())).keys() == {inputs.EXAMPLES}
    assert inputs.example_digests(run, task()) == {}
