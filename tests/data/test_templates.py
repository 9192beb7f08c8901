"""Templates that a method uses instead of the datasets' own."""

import dataclasses
from importlib import resources

import pytest
import torch

import tiny_clips
from cliptune import checks, methods
from cliptune.data import public, sources, templates
from cliptune.data.config import DataConfig
from cliptune.engine.evaluate import predict_logits
from cliptune.methods.tcp import Tcp
from cliptune.model.tuned_model import TunedModel
from tiny_tasks import drawings, task

TABLES = sorted(file.name[:-5] for file in resources.files(templates).iterdir() if file.name.endswith(".yaml"))


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_of_public_datasets_and_each_template_has_a_place_for_the_name(table):
    rows = templates.read_table(table)
    assert rows and rows.keys() <= public.specs().keys()
    for dataset, row in rows.items():
        assert row and row != public.specs()[dataset].templates
        for template in row:
            checks.template("template", template)
    assert table in {methods.get(name).template_table for name in methods.names()}, "no method uses it"


def named(name, **config):
    dataset = sources.apply_config(drawings(), dataclasses.replace(DataConfig(), **config))
    dataset.name, dataset.templates = name, config.get("templates", ("own {}",))
    return dataset


def test_a_row_replaces_the_own_templates_unless_the_run_chooses_others():
    row = templates.read_table("tcp")["dtd"]
    assert templates.templates_of(named("dtd"), "tcp") == row != ("own {}",)
    assert templates.templates_of(named("dtd")) == ("own {}",)
    assert templates.templates_of(named("other"), "tcp") == ("own {}",)
    assert templates.templates_of(named("dtd", templates=("a {}",)), "tcp") == ("a {}",)


def test_transfer_targets_have_their_own_row():
    model = TunedModel(tiny_clips.backbone("deep_text"), Tcp(n_ctx=2, block=1), ("cat", "dog")).eval()
    target = named("dtd")
    test = task().tests["novel"]
    there = predict_logits(model, drawings(), dataclasses.replace(test, dataset=target, templates=target.templates))
    row = templates.read_table("tcp")["dtd"]
    assert torch.equal(there, predict_logits(model, drawings(), dataclasses.replace(test, templates=row)))
    assert not torch.allclose(there, predict_logits(model, drawings(), test))
