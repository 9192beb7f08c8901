"""Sentences and facts of a report about its records."""

import dataclasses

import pytest

from cliptune.report import describe


def test_the_sentence_describes_the_comparison(study):
    assert describe.summary_sentence(study) == (
        "Accuracy of zeroshot, maple and maple+dapt with 16 training images per class on emoji, tested on 960 base and "
        "400 novel images, averaged over seeds 1, 2 and 3; made with cliptune 0.1.0 and torch 2.9.0."
    )


def test_the_sentence_omits_missing_facts(record):
    bare = dataclasses.replace(record(base=1.0), provenance={}, config={})
    assert describe.summary_sentence([bare]) == "Accuracy of coop on emoji, from one seed (1)."
    assert describe.provenance_facts([bare]) == [("Methods", "coop")]
    assert describe.cautions([bare]) == []


@pytest.mark.parametrize(
    "configs, message",
    [
        ([{"shots": 1}], "1 training image per class"),
        ([{"shots": 4}, {"shots": 1}, {"shots": 0}], "1, 4 and all training images per class"),
        ([{"shots": 0}], "all training images"),
        ([{"shots": 0, "fraction": 0.05}], "5 % of the training images"),
        ([{"shots": 0, "fraction": 0.1}, {"shots": 0}], "10 and 100 % of the training images"),
        ([{}], ""),
    ],
)
def test_the_amount_of_training_data(record, configs, message):
    assert (
        describe.describe_training_data([dataclasses.replace(record(base=1.0), config=config) for config in configs])
        == message
    )


def test_unusual_provenance_is_tolerated(record):
    odd = dataclasses.replace(record(base=1.0), provenance={"versions": None, "test_images": 960, "device": None})
    assert describe.summary_sentence([odd]).endswith("from one seed (1).")


def test_facts_name_fingerprints_by_seed(study):
    facts = dict(describe.provenance_facts(study))
    assert facts["Data fingerprint"] == "emoji161 (seed 1); emoji162 (seed 2); emoji163 (seed 3)"
    assert facts["Backbone"] == "tiny 0123456789ab"


def test_the_standard_error_is_of_the_smallest_whole_test_set(study):
    assert any("has 400 images" in note and "2.5 points" in note for note in describe.cautions(study))


def changed(result, **provenance):
    return dataclasses.replace(result, provenance={**result.provenance, **provenance})


def test_different_data_backbones_and_versions_are_reported(study):
    first, *rest = study
    for key, value, message in (
        ("data_fingerprint", "other", "trained or tested on other images"),
        ("backbone_fingerprint", "other", "different backbones"),
        ("versions", {"cliptune": "0.2.0"}, "different software versions"),
    ):
        assert any(message in note for note in describe.cautions([changed(first, **{key: value}), *rest]))
        assert not any(message in note for note in describe.cautions(study))


def test_settings_of_backbones_are_compared_if_recorded(study):
    """Older records contain only the weights under the same key."""
    first, second, *rest = study
    some = [changed(first, backbone_settings="one"), second, *rest]
    assert not any("different backbones" in note for note in describe.cautions(some))
    both = [changed(first, backbone_settings="one"), changed(second, backbone_settings="two"), *rest]
    assert any("different backbones" in note for note in describe.cautions(both))


def test_a_pool_is_not_called_shots(record):
    few, pool = record("coop"), changed(record("promptkd"), transductive=True)
    assert describe.describe_training_data([pool]) == "all training images without labels"
    both = describe.describe_training_data([few, pool])
    assert both == "16 training images per class (all training images without labels for promptkd)"
