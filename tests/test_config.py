"""Configurations as plain values: strict parsing, exact serialisation, options by name."""

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptune import config, methods
from cliptune.config import RunConfig
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.dpl import Dpl
from cliptune.methods.maple import Maple
from cliptune.methods.zeroshot import ZeroShot

DAPT = RunConfig(Dapt(Maple()))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
positive = st.floats(min_value=1e-12, max_value=1e12)
training = st.one_of(
    st.builds(
        CoOp,
        n_ctx=st.integers(1, 99),
        words=words,
        position=st.sampled_from(["end", "middle", "front"]),
        class_specific=st.booleans(),
    ),
    st.builds(Maple, n_ctx=st.integers(1, 99), depth=st.integers(1, 99), words=words),
    st.builds(Dpl, lengths_text=st.lists(st.integers(0, 9)).map(tuple), longest_image=st.integers(1, 9)),
)
bases = st.one_of(
    training,
    st.builds(
        ZeroShot,
        ensemble=st.sampled_from(["single", "seven", "eighty"]),
        template=st.sampled_from(["", "a sketch of {}.", "{} of them"]),
    ),
)
wrapped = st.builds(
    Dapt, base=training, margin=positive, switch=st.floats(0, 1), compat=st.sampled_from(["paper", "release"])
)
trainings = st.builds(
    TrainConfig,
    epochs=st.integers(0, 999),
    lr=positive,
    batch_size=st.integers(1, 999),
    keep=st.sampled_from(["last", "best"]),
)
runs = st.builds(
    RunConfig,
    st.one_of(bases, wrapped),
    data=words,
    seed=st.integers(0, 2**40),
    training=trainings,
    precision=st.sampled_from(["32", "bf16", "16"]),
)


@given(runs)
@settings(max_examples=40, deadline=None)
def test_yaml_round_trip(run):
    again = config.from_dict(yaml.safe_load(config.to_yaml(run)))
    assert again == run and config.fingerprint(again) == config.fingerprint(run)


def test_yaml_has_the_form_a_user_would_write():
    plain_values = yaml.safe_load(config.to_yaml(DAPT))
    assert plain_values["method"]["name"] == "dapt" and plain_values["method"]["base"]["name"] == "maple"
    assert (
        plain_values["method"]["base"]["depth"] == 9
        and plain_values["training"]["lr"] == 0.002
        and plain_values["seed"] == 1
    )


def test_missing_fields_are_defaults():
    assert config.from_dict({"method": {"name": "coop"}}) == RunConfig(CoOp())
    brief = {"method": {"name": "dapt", "base": {"name": "coop", "n_ctx": 4}}, "training": {"lr": 1}, "seed": 3}
    assert config.from_dict(brief) == RunConfig(Dapt(CoOp(4)), seed=3, training=TrainConfig(lr=1.0))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"sede": 1}, "unknown key 'sede' for RunConfig; nearest: seed"),
        ({"training": {"lrr": 1}}, "unknown key 'lrr' for TrainConfig; nearest: lr"),
        ({"method": {"name": "maple", "dept": 3}}, "unknown key 'dept' for Maple; nearest: depth"),
        ({"method": {"name": "dapt", "base": {"name": "coop", "depth": 3}}}, "unknown key 'depth' for CoOp"),
        ({"method": {"name": "mapel"}}, "unknown method 'mapel'; nearest: maple"),
        ({"method": {}}, "unknown method ''; known: .*coop"),
        ({"seed": "1"}, "seed='1' does not fit RunConfig; it takes int"),
        ({"seed": 1.5}, "seed=1.5 does not fit RunConfig; it takes int"),
        ({"seed": True}, "seed=True does not fit RunConfig; it takes int"),
        ({"seed": None}, "seed=None does not fit RunConfig"),
        ({"seed": -1}, r"seed must be from 0 to 2\*\*63 - 1, got -1"),
        ({"data": 3}, "data=3 does not fit RunConfig; it takes str"),
        ({"precision": 32}, "precision=32 does not fit RunConfig; it takes one of '32', 'bf16', '16'"),
        ({"training": {"lr": "0.1"}}, "lr='0.1' does not fit TrainConfig; it takes float"),
        ({"training": {"epochs": 2.0}}, "epochs=2.0 does not fit TrainConfig; it takes int"),
        (
            {"training": {"augment": "crops"}},
            "augment='crops' does not fit TrainConfig; it takes one of 'crop', 'flip', 'none'",
        ),
        ({"training": []}, r"training=\[\] does not fit RunConfig; it takes TrainConfig"),
        ({"method": "maple"}, "a method must be a mapping .*'maple'"),
        ({"method": {"name": "coop", "class_specific": 1}}, "class_specific=1 does not fit CoOp; it takes bool"),
        ({"method": {"name": "dapt", "compat": "papr"}}, "it takes one of 'paper', 'release'"),
    ],
)
def test_invalid_fields_are_named(change, reason):
    with pytest.raises(UserError, match=reason):
        config.from_dict({"method": {"name": "coop"}, **change})


def test_a_configuration_must_be_a_mapping():
    with pytest.raises(UserError, match="a run must be a mapping .*None"):
        config.from_dict(None)


def test_options_set_fields_of_the_run_its_training_and_every_method():
    run = config.with_options(DAPT, {"seed": 4, "lr": 1, "pull_push": 4, "depth": 3})
    assert (run.seed, run.training.lr, run.method.pull_push, run.method.base.depth) == (4, 1.0, 4.0, 3)
    untouched = dataclasses.replace(run, seed=1, training=TrainConfig(), method=Dapt(Maple()))
    assert untouched == DAPT


def test_an_option_sets_the_outermost_field_of_its_name():
    class Inner(CoOp):
        pass

    run = config.with_options(RunConfig(Dapt(Dapt(Inner(n_ctx=3)))), {"margin": 2.0, "n_ctx": 5})
    assert (run.method.margin, run.method.base.margin, run.method.base.base.n_ctx) == (2.0, 1.5, 5)


@pytest.mark.parametrize(
    "option, nearest",
    [
        ("n_cxt", "n_ctx"),
        ("epoch", "epochs"),
        ("learning_rate", "lr|known"),
        ("pullpush", "pull_push"),
        ("base", "known|nearest"),
    ],
)
def test_an_unknown_option_shows_the_nearest(option, nearest):
    with pytest.raises(UserError, match=f"unknown option '{option}'; .*({nearest})"):
        config.with_options(DAPT, {option: 1})


def test_an_option_of_another_method_is_unknown():
    with pytest.raises(UserError, match="unknown option 'depth'"):
        config.with_options(RunConfig(CoOp()), {"depth": 3})


def test_options_are_checked_like_files():
    with pytest.raises(UserError, match="n_ctx='4' does not fit CoOp; it takes int"):
        config.with_options(RunConfig(CoOp()), {"n_ctx": "4"})
    with pytest.raises(UserError, match="n_ctx must be at least 1, got 0"):
        config.with_options(RunConfig(CoOp()), {"n_ctx": 0})


@pytest.mark.parametrize("value", [(1, 0, 3), [1, 0, 3], ()])
def test_lists_are_read_as_tuples_and_written_as_lists(value):
    run = config.with_options(RunConfig(Dpl()), {"lengths_text": value})
    assert run.method.lengths_text == tuple(value)
    assert config.to_dict(run)["method"]["lengths_text"] == list(value)
    assert config.from_dict(yaml.safe_load(config.to_yaml(run))) == run


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("lengths_text", [1, 2.5], "lengths_text=2.5 does not fit Dpl; it takes int"),
        ("lengths_text", ["1"], "lengths_text='1' does not fit Dpl; it takes int"),
        ("lengths_text", "12", "lengths_text='12' does not fit Dpl; it takes a list of int"),
        ("lengths_text", 3, "lengths_text=3 does not fit Dpl; it takes a list of int"),
        ("search_betas", [0.5], r"search_betas=\[0.5\] does not fit Dpl; it takes a list of float, float"),
    ],
)
def test_a_list_of_another_type_is_refused(option, value, message):
    with pytest.raises(UserError, match=message):
        config.with_options(RunConfig(Dpl()), {option: value})


def test_the_fingerprint_covers_the_fields_that_decide_the_numbers():
    run = RunConfig(CoOp())
    same = [dataclasses.replace(run, device="cpu", devices=2), config.with_options(run, {"workers": 4})]
    other = [{"seed": 2}, {"lr": 0.1}, {"n_ctx": 4}, {"data": "emoji:rho=0"}, {"precision": "bf16"}, {"shots": 1}]
    assert {config.fingerprint(r) for r in same} == {config.fingerprint(run)}
    prints = {config.fingerprint(config.with_options(run, change)) for change in other}
    assert len(prints) == len(other) and config.fingerprint(run) not in prints
    assert config.fingerprint(RunConfig(Dapt(CoOp()))) != config.fingerprint(run)


def test_the_layers_of_a_method():
    assert [type(m) for m in config.nested_methods(DAPT.method)] == [Dapt, Maple]
    assert config.method_to_dict(CoOp())["name"] == methods.name_of(CoOp()) == "coop"


OCCASIONAL = {
    "targets": ("dtd", "noto"),
    "fraction": 0.1,
    "selector": "craig",
    "selector_variant": "dapt",
    "joint": True,
    "evaluate_at": (5, 10),
}


def test_records_omit_options_at_their_default():
    plain = config.to_dict(RunConfig(CoOp(), protocol="base_to_novel"))
    assert not plain.keys() & OCCASIONAL.keys()
    assert config.fingerprint(RunConfig(CoOp())) == "356c6dc20cf8", "as recorded before there were these fields"


@pytest.mark.parametrize("name, value", OCCASIONAL.items())
def test_records_contain_options_that_differ_from_their_default(name, value):
    run = dataclasses.replace(RunConfig(CoOp()), **{name: value})
    plain_values = yaml.safe_load(config.to_yaml(run))
    assert plain_values.keys() - config.to_dict(RunConfig(CoOp())).keys() == {name}
    assert config.from_dict(plain_values) == run and config.fingerprint(run) != config.fingerprint(RunConfig(CoOp()))


def test_training_settings_of_later_versions_are_omitted_at_their_default(monkeypatch):
    monkeypatch.setattr(config, "RECORDED_AT_DEFAULT", tuple(n for n in config.RECORDED_AT_DEFAULT if n != "keep"))
    run = RunConfig(CoOp())
    best = config.with_options(run, {"keep": "best"})
    assert "keep" not in config.to_dict(run)["training"] and config.to_dict(best)["training"]["keep"] == "best"
    assert config.from_dict(config.to_dict(run)) == run and config.from_dict(config.to_dict(best)) == best
    assert config.fingerprint(run) != config.fingerprint(best)


def test_data_efficient_always_records_its_selector():
    plain_values = config.to_dict(RunConfig(CoOp(), protocol="data_efficient"))
    assert (plain_values["fraction"], plain_values["selector"]) == (1.0, "uniform")


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5])
def test_a_fraction_is_above_0_and_at_most_1(fraction):
    with pytest.raises(UserError, match="fraction must be above 0 and at most 1"):
        RunConfig(CoOp(), fraction=fraction)
