"""Every kind of file that is read back, damaged in many ways: it works as if whole, or it is refused in a sentence."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

import cliptune as ct
import mutations
from cliptune import claims, config, holds
from cliptune.analysis.background import Reliance
from cliptune.analysis.scenes import CONDITIONS
from cliptune.commands import results_table
from cliptune.engine import coreset
from cliptune.official import alphas
from cliptune.official import file as official
from cliptune.results import reliance, store
from cliptune.results.logs.gather import gather
from cliptune.results.logs.scatter import scatter
from mutations import refused_or, written
from toys import task

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("run")
    ct.train("coop", data=f"folder:{photos}", shots=1, epochs=2, out=folder)
    return folder


def test_record(run, tmp_path):
    content = json.loads((run / store.NAME).read_text())
    file = tmp_path / "runs" / store.NAME
    file.parent.mkdir()

    def use():
        results = store.load_all(file.parent)
        for options in (
            results_table.ResultsTable(cost=True, published=True),
            results_table.ResultsTable(rows=("method", "training.epochs"), per_seed=True),
        ):
            made = results_table.table_of(results, options)
            for form in ("terminal", "csv", "latex", "markdown"):
                results_table.as_text(made, form, 1).encode()
        logs, _ = scatter(results)
        assert all((tmp_path / log).resolve().is_relative_to(tmp_path) for log in logs), "a log outside of the folder"

    copies = (*mutations.of_tree(content, 200), *mutations.of_bytes((run / store.NAME).read_bytes(), 60))
    refused_or(use, written(file, copies))


def test_reliance(tmp_path):
    counts = dict.fromkeys(CONDITIONS, 1)
    held = Reliance(10, dict.fromkeys(CONDITIONS, 50.0), counts, counts, 3.0, 4.0, 5.0, None, 0, {"no mask": 1})
    one = asdict(reliance.Measured("emoji", "test", "data", 1, "predicted", "0123", held))
    file = tmp_path / "background.json"
    copies = (*mutations.of_tree(one, 200), *mutations.of_bytes(json.dumps(one).encode(), 60))
    tried, refused = refused_or(lambda: reliance.tables({"a": [reliance.load(file)]}), written(file, copies))
    assert refused > tried / 2


def test_configuration(tmp_path):
    own = config.Run(config.methods.build("maple+dapt"))
    claims.claim(tmp_path, own)
    file = tmp_path / claims.CONFIG
    content = file.read_bytes()
    copies = (*mutations.of_tree(config.to_dict(own), 150), *mutations.of_bytes(content, 60))
    same = [what for what in written(file, copies) if claims.of(tmp_path, own)]
    assert len(same) < 60, "such as what leaves a default out"


def test_coreset(tmp_path):
    toy, file = task(), tmp_path / claims.CORESET
    coreset.write(file, "abc", toy)
    content = file.read_bytes()

    def use():
        held = coreset.read(file, "abc", toy)
        assert held is None or all(0 < e.weight < float("inf") for e in held.train)

    copies = (*mutations.of_tree(json.loads(content), 100), *mutations.of_bytes(content, 60))
    assert refused_or(use, written(file, copies))[1] == 0


def test_hold(tmp_path):
    file, me = tmp_path / "run" / holds.NAME, json.loads(holds._me())

    def use():
        holds.holder(file.parent)
        with holds.held(file.parent):
            file.parent.mkdir(exist_ok=True)

    def copies():
        for one in (*mutations.of_tree(me, 120), *mutations.of_bytes(json.dumps(me).encode(), 40)):
            file.parent.mkdir(exist_ok=True)
            yield one

    refused_or(use, written(file, copies()))


def test_log(tmp_path, monkeypatch):
    folder = tmp_path / "logs" / "caltech101" / "CoOp" / "vit_b16_16shots" / "seed1"
    folder.mkdir(parents=True)
    head = "************\n** Config **\n************\n{}\nCollecting env info ...\n"
    said = {"DATASET": {"NAME": "Caltech101", "NUM_SHOTS": 16}, "OPTIM": {"MAX_EPOCH": 2}, "TRAINER": {"NAME": "CoOp"}}
    said |= {"SEED": 1, "CLIPTUNE": {"METHOD": "coop", "PROTOCOL": "few_shot", "TARGETS": ["dtd"], "BACKBONE": {}}}
    tail = "epoch [1/2] batch [5/10] loss 2.8 (2.9) lr 1e-05 eta 0:00:09\nFinish training\n* total: 2,465\n"
    tail += "* correct: 2,268\n* accuracy: 92.0%\n"

    def use():
        for place, result in gather(tmp_path / "logs")[0]:
            out = tmp_path / "out"
            assert (out / place).resolve().is_relative_to(out), "a record outside of the folder"
            store.load(store.save(result, out / place))

    whole = (head.format(json.dumps(said)) + tail).encode()
    trees = ((what, head.format(text) + tail) for what, text in mutations.of_tree(said, 120))
    long = (("a long line", whole + b"epoch [1/1]" * 100_000), ("digits", whole.replace(b"2,465", b"9" * 5000)))
    refused_or(use, written(folder / "log.txt", (*trees, *mutations.of_bytes(whole, 100), *long)))


def test_checkpoint_of_the_authors(tmp_path):
    file = tmp_path / "model.pth.tar-5"
    state = {"prompt_learner.ctx": torch.randn(4, 16), "prompt_learner.token_suffix": torch.randn(3, 5, 16)}
    for packed in (True, False):
        torch.save({"state_dict": state, "epoch": 5}, file, _use_new_zipfile_serialization=packed)
        refused_or(lambda: official.read(file), written(file, mutations.of_bytes(file.read_bytes(), 100)))


def test_scores_of_a_search(tmp_path):
    file = tmp_path / "alpha_e80_img.npy"
    for name in (file.name, "alpha_e80_txt.npy"):
        np.save(tmp_path / name, np.random.default_rng(0).normal(size=(4, 5)))
    refused_or(lambda: alphas.lengths(file), written(file, mutations.of_bytes(file.read_bytes(), 150)))
