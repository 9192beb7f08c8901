"""Every kind of file that is read back, damaged in many ways: it is either read or refused with a `UserError`."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

import cliptune as ct
import damaged_files
from cliptune import config, dir_lock, run_dir
from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.analysis.reliance import Reliance
from cliptune.commands import results_table
from cliptune.engine import coreset
from cliptune.official import checkpoint_file as official
from cliptune.official import dpl_alphas
from cliptune.official.logs.collect import collect_records
from cliptune.report import reliance_records
from cliptune.results import store
from damaged_files import count_refusals, write_copies
from tiny_tasks import task

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("run")
    ct.train("coop", data=f"folder:{photos}", shots=1, epochs=2, out=folder)
    return folder


def test_record(run, tmp_path):
    content = json.loads((run / store.RESULT_FILE).read_text())
    file = tmp_path / "runs" / store.RESULT_FILE
    file.parent.mkdir()

    def use():
        results = store.load_results(file.parent)
        for options in (
            results_table.ResultsTable(cost=True, published=True),
            results_table.ResultsTable(rows=("method", "training.epochs"), per_seed=True),
        ):
            made = results_table.make_table(results, options)
            for form in ("terminal", "csv", "latex", "markdown"):
                results_table.format_table(made, form, 1).encode()

    copies = (
        *damaged_files.damage_tree(content, 100),
        *damaged_files.damage_bytes((run / store.RESULT_FILE).read_bytes(), 30),
    )
    count_refusals(use, write_copies(file, copies))


def test_reliance(tmp_path):
    counts = dict.fromkeys(CONDITIONS, 1)
    measured = Reliance(10, dict.fromkeys(CONDITIONS, 50.0), counts, counts, 3.0, 4.0, 5.0, None, 0, {"no mask": 1})
    one = asdict(reliance_records.RelianceRecord("emoji", "test", "data", 1, "predicted", "0123", measured))
    file = tmp_path / "background.json"
    copies = (*damaged_files.damage_tree(one, 200), *damaged_files.damage_bytes(json.dumps(one).encode(), 60))
    tried, refused = count_refusals(
        lambda: reliance_records.tabulate_reliance({"a": [reliance_records.load_reliance(file)]}),
        write_copies(file, copies),
    )
    assert refused > tried / 2


def test_configuration(tmp_path):
    own = config.RunConfig(config.methods.build("maple+dapt"))
    run_dir.claim_run_dir(tmp_path, own)
    file = tmp_path / run_dir.CONFIG
    content = file.read_bytes()
    copies = (*damaged_files.damage_tree(config.to_dict(own), 80), *damaged_files.damage_bytes(content, 30))
    same = [what for what in write_copies(file, copies) if run_dir.has_config(tmp_path, own)]
    assert len(same) < 30, "such as what leaves a default out"


def test_coreset(tmp_path):
    toy, file = task(), tmp_path / run_dir.CORESET
    coreset.write_coreset(file, "abc", toy)
    content = file.read_bytes()

    def use():
        task = coreset.read_coreset(file, "abc", toy)
        assert task is None or all(0 < e.weight < float("inf") for e in task.train)

    copies = (*damaged_files.damage_tree(json.loads(content), 100), *damaged_files.damage_bytes(content, 60))
    assert count_refusals(use, write_copies(file, copies))[1] == 0


def test_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(dir_lock, "GRACE_SECONDS", 0.01)
    file = tmp_path / "run" / dir_lock.LOCK_FILE
    with dir_lock.lock_dir(file.parent):
        whole = file.read_bytes()

    def use():
        dir_lock.lock_owner(file.parent)
        with dir_lock.lock_dir(file.parent):
            file.parent.mkdir(exist_ok=True)

    def copies():
        for one in damaged_files.damage_bytes(whole, 60):
            file.parent.mkdir(exist_ok=True)
            yield one

    count_refusals(use, write_copies(file, copies()))


def test_log(tmp_path, monkeypatch):
    folder = tmp_path / "logs" / "caltech101" / "CoOp" / "vit_b16_16shots" / "seed1"
    folder.mkdir(parents=True)
    head = "************\n** Config **\n************\n{}\nCollecting env info ...\n"
    config = {
        "DATASET": {"NAME": "Caltech101", "NUM_SHOTS": 16},
        "OPTIM": {"MAX_EPOCH": 2},
        "TRAINER": {"NAME": "CoOp"},
    }
    config |= {"SEED": 1, "CLIPTUNE": {"METHOD": "coop", "PROTOCOL": "few_shot", "TARGETS": ["dtd"], "BACKBONE": {}}}
    tail = "epoch [1/2] batch [5/10] loss 2.8 (2.9) lr 1e-05 eta 0:00:09\nFinish training\n* total: 2,465\n"
    tail += "* correct: 2,268\n* accuracy: 92.0%\n"

    def use():
        for place, result in collect_records(tmp_path / "logs")[0]:
            out = tmp_path / "out"
            assert (out / place).resolve().is_relative_to(out), "a record outside of the folder"
            store.load_result(store.save_result(result, out / place))

    whole = (head.format(json.dumps(config)) + tail).encode()
    trees = ((what, head.format(text) + tail) for what, text in damaged_files.damage_tree(config, 60))
    long = (("a long line", whole + b"epoch [1/1]" * 100_000), ("digits", whole.replace(b"2,465", b"9" * 5000)))
    count_refusals(use, write_copies(folder / "log.txt", (*trees, *damaged_files.damage_bytes(whole, 60), *long)))


def test_checkpoint_of_the_authors(tmp_path):
    file = tmp_path / "model.pth.tar-5"
    state = {"prompt_learner.ctx": torch.randn(4, 16), "prompt_learner.token_suffix": torch.randn(3, 5, 16)}
    for packed in (True, False):
        torch.save({"state_dict": state, "epoch": 5}, file, _use_new_zipfile_serialization=packed)
        count_refusals(
            lambda: official.read_official(file), write_copies(file, damaged_files.damage_bytes(file.read_bytes(), 100))
        )


def test_scores_of_a_search(tmp_path):
    file = tmp_path / "alpha_e80_img.npy"
    for name in (file.name, "alpha_e80_txt.npy"):
        np.save(tmp_path / name, np.random.default_rng(0).normal(size=(4, 5)))
    count_refusals(
        lambda: dpl_alphas.read_lengths(file), write_copies(file, damaged_files.damage_bytes(file.read_bytes(), 150))
    )
