"""A result is read exactly as it was saved, or refused."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptune.errors import UserError
from cliptune.results import store
from cliptune.types import Result


def test_a_result_is_read_exactly_as_saved(tmp_path, study):
    path = store.save_result(study[0], tmp_path / "run")
    assert path == tmp_path / "run" / "result.json"
    assert store.load_result(path) == study[0]


@settings(deadline=None, max_examples=50)  # files and slow machines
@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_every_digit_survives(tmp_path_factory, metrics):
    result = Result("t", "m", "d", 1, metrics, {})
    assert store.load_result(store.save_result(result, tmp_path_factory.mktemp("r"))) == result


def test_nan_losses_are_preserved(tmp_path):
    """An epoch without a step has no loss; an accuracy is always a number."""
    result = Result("t", "m", "d", 1, {}, {}, history=({"loss": math.nan, "val": math.inf},))
    (row,) = store.load_result(store.save_result(result, tmp_path)).history
    assert math.isnan(row["loss"]) and row["val"] == math.inf


def test_the_file_is_sorted_and_ends_with_a_newline(tmp_path, study):
    text = store.save_result(study[0], tmp_path).read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(f.name for f in dataclasses.fields(Result))
    assert store.save_result(study[0], tmp_path / "again").read_text(encoding="utf-8") == text


def test_fields_with_a_default_may_be_missing(tmp_path):
    (tmp_path / "result.json").write_text('{"task":"t","method":"m","data":"d","seed":1,"metrics":{},"config":{}}')
    assert store.load_result(tmp_path / "result.json") == Result("t", "m", "d", 1, {}, {})


def damaged(changes):
    content = {"task": "t", "method": "m", "data": "d", "seed": 1, "metrics": {"base": 1.0}, "config": {}}
    return json.dumps({k: v for k, v in (content | changes).items() if v != "drop"})


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "is not JSON"),
        ('{"task": "t", ', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "it contains no record"),
        (damaged({"extra": 1}), "unknown key 'extra'"),
        (damaged({"config": "drop"}), "key 'config' is missing"),
        (damaged({"seed": True}), "'seed' must be a whole number"),
        (damaged({"seed": 1.5}), "'seed' must be a whole number"),
        (damaged({"method": ""}), "'method' must be text"),
        (damaged({"metrics": {"base": "50"}}), "'metrics' must be finite numbers by name"),
        (damaged({"history": {"epoch": 1}}), "'history' must be a list of numbers by name"),
        (damaged({"provenance": []}), "'provenance' must be values by name"),
        (damaged({"seed": -1}), "'seed' must be a whole number of at least 0"),
        (damaged({"metrics": {"base": math.nan}}), "'metrics' must be finite numbers"),
        (damaged({"metrics": {"base": 10**400}}), "an integer of 1329 bits"),
        (damaged({"cost": {"seconds": -1}}), "'cost' must be numbers of at least 0"),
        (damaged({"method": "\ud800"}), "a lone surrogate"),
        (damaged({"config": {"shots": -3}}), "'shots' in 'config' must be a whole number of at least 0, got -3"),
        (damaged({"config": {"fraction": "all"}}), "'fraction' in 'config' must be a number above 0"),
        (damaged({"config": {"training": 3}}), "'training' in 'config' must be values by name"),
        (damaged({"provenance": {"test_images": {"base": -5}}}), "'test_images' in 'provenance' must be numbers of"),
        (damaged({"config": json.loads("[" * 60 + "]" * 60)}), "nested more than 40 levels"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path, text, fault):
    path = tmp_path / "result.json"
    path.write_text(text)
    for read in (lambda: store.load_result(path), lambda: store.load_results(tmp_path)):
        with pytest.raises(UserError) as error:
            read()
        assert str(path) in str(error.value)
        assert fault in str(error.value)
        assert "\n" not in str(error.value)


def test_binary_files_are_refused(tmp_path):
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="result.json: byte 0 is not UTF-8"):
        store.load_result(tmp_path / "result.json")


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot read .*result.json: no such file"):
        store.load_result(tmp_path / "result.json")


def test_the_order_of_results_does_not_depend_on_folders(tmp_path, study):
    for i, result in enumerate(study):
        store.save_result(result, tmp_path / "a" / str(i))
        store.save_result(result, tmp_path / "b" / "deep" / str(len(study) - i))
    (tmp_path / "a" / "notes.json").write_text("not a result")
    one, other = store.load_results(tmp_path / "a"), store.load_results(tmp_path / "b")
    assert one == other
    assert [(r.method, r.seed) for r in one] == sorted((r.method, r.seed) for r in study)


def test_a_single_file_may_be_named(tmp_path, study):
    assert store.load_results(store.save_result(study[0], tmp_path)) == [study[0]]


def test_no_results_is_a_user_error(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no result.json under"):
            store.load_results(root)
