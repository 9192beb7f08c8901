"""User errors in names and options: exit code 2, one sentence, no traceback, no partial output."""

import re

import pytest

from tiny_tasks import BRIEFLY


@pytest.mark.parametrize("method, nearest", [("mapel", "maple"), ("coop+dpat", "dapt"), ("zero-shot", "zeroshot")])
def test_method(train, method, nearest):
    assert re.search(f"unknown method '.*'; nearest: .*{nearest}", train(method))


def test_no_method(refused):
    assert "a method (" in refused("train") and "comes first" in refused("train", "--data", "emoji")


@pytest.mark.parametrize(
    "data, hint",
    [
        ("emojy", "nearest: emoji"),
        ("photos", "folder:PATH"),
        ("folder", "folder needs a path"),
        ("emoji:rhoo=1", "rho"),
    ],
)
def test_dataset(train, data, hint):
    assert hint in train(data=data)


@pytest.mark.parametrize("backbone, nearest", [("ViT-B-61", "ViT-B-16"), ("ViTB17", "ViT-B-16"), ("tinny", "tiny")])
def test_backbone(train, backbone, nearest):
    assert re.search(f"unknown backbone '{backbone}'; nearest: .*{nearest}", train("coop", "--backbone", backbone))


def test_weights(train, tmp_path):
    assert "nearest: openai" in train("coop", "--backbone", "ViT-B-16", "--pretrained", "openia")
    (tmp_path / "w.pt").write_bytes(b"no weights")
    assert "w.pt" in train("coop", "--backbone", tmp_path / "w.pt")
    assert "no weights file at" in train("coop", "--backbone", tmp_path / "none.pt")


@pytest.mark.parametrize(
    "method, option, nearest",
    [
        ("coop", "--n-cxt", "--n-ctx"),
        ("maple", "--epoch", "--epochs"),
        ("maple+dapt", "--mask-from", "--masks-from"),
        ("coop", "--ouut", "--out"),
        ("coop", "--training.lrr", "--training.lr"),
        ("coop", "--depth", "--"),
    ],
)
def test_option(train, method, option, nearest):
    assert re.search(f"unknown option {option}; .*({nearest})", train(method, option, 3))


@pytest.mark.parametrize(
    "command", [("run", "base-to-novel"), ("predict", "x", "y.png"), ("evaluate", "x"), ("report", "x"), ("demo",)]
)
def test_option_of_other_commands(refused, command):
    result = refused(*command, "--metods", "coop")
    assert "--metods" in result and f"cliptune {command[0]}" in result and "--help" in result


@pytest.mark.parametrize(
    "option, value, reason",
    [
        ("--shots", "many", "'many'"),
        ("--epochs", "1.5", "'1.5'"),
        ("--lr", "fast", "'fast'"),
        ("--precision", "64", "64"),
        ("--position", "left", "left"),
        ("--n-ctx", "0", "n_ctx must be at least 1, got 0"),
        ("--batch-size", "0", "batch_size must be at least 1, got 0"),
        ("--lr", "-1", "lr must be positive"),
        ("--momentum", "-1", "momentum must be at least 0"),
        ("--seed", "-1", "seed must be from 0"),
        ("--device", "toaster", "device='toaster'"),
        ("--protocol", "fewshot", "unknown protocol 'fewshot'; nearest: few_shot"),
        ("--cached-views", "-1", "cached_views must be at least 0"),
    ],
)
def test_value(train, option, value, reason):
    assert reason in train("coop", option, value)


def test_a_flag_without_its_value(train):
    assert "--shots" in train("coop", "--shots")


def test_protocol(refused):
    assert "a protocol (base_to_novel, cross_dataset" in refused("run")
    assert re.search(
        "unknown protocol 'base.to.new'; nearest: base_to_novel", refused("run", "base-to-new", "--out", "OUT")
    )


@pytest.mark.parametrize(
    "methods, reason",
    [(("coop", "mapel"), "unknown method 'mapel'; nearest: maple"), (("coop+maple",), "does not wrap")],
)
def test_methods_of_a_sweep(refused, photos, methods, reason):
    result = refused("run", "few-shot", "--methods", *methods, "--data", f"folder:{photos}", *BRIEFLY, "--out", "OUT")
    assert reason in result
