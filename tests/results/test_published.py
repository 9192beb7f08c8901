"""Published results: complete, each with its source, and next to ours only for the same setup."""

import csv
import dataclasses
from pathlib import Path

import pytest

from cliptune import methods, protocols
from cliptune.data import sources
from cliptune.errors import UserError
from cliptune.results import published
from cliptune.results.published import (
    BENCHMARK_DATASETS,
    add_published,
    load_published,
    published_csv,
    select_published,
)
from cliptune.results.published_table import published_table
from cliptune.results.summary import summarise

SHARED = Path(__file__).parents[3] / "shared/data/published"


def test_every_line_is_complete():
    for line in load_published():
        assert line.source and line.printed and 0 < line.value < 100
        assert line.protocol in protocols.names()
        transfer = (line.data, line.metric in ("source", "average") or line.metric in sources.names())
        known = {"base_to_novel": line.metric in ("base", "novel", "hm"), "few_shot": line.metric == "test"}
        assert known.get(line.protocol, transfer == ("imagenet", True))
        assert line.method == line.printed or methods.name_of(methods.build(line.method)) == line.method
    ours = {line.method for line in load_published()} & set(methods.names())
    assert ours >= {"zeroshot", "coop", "cocoop", "kgcoop", "maple", "promptsrc", "prograd", "vpt", "ivlp", "language"}
    assert {line.data for line in load_published()} - set(sources.names()) == {"average", "resisc45"}
    assert BENCHMARK_DATASETS <= set(sources.names()) and len(BENCHMARK_DATASETS) == 11


def test_hm_is_the_harmonic_mean_or_a_note_explains_the_difference():
    found = {(x.printed, x.data, x.metric): x for x in load_published() if x.protocol == "base_to_novel"}
    for (printed, data, metric), line in found.items():
        if metric == "hm" and "HM alone was read" not in line.note:
            base, novel = (found[printed, data, part].value for part in ("base", "novel"))
            agrees = abs(2 * base * novel / (base + novel) - line.value) < 0.06  # sources round differently
            assert agrees or "printed HM differs" in line.note, line


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the collected values next to the repository")
def test_all_recorded_values_are_present():
    keys_found = {(x.printed, x.protocol, x.shots, x.metric, x.value) for x in load_published()}
    for row in csv.DictReader((SHARED / "base_to_novel.csv").read_text().splitlines()):
        for metric in ("base", "novel", "hm"):
            assert (row["method"], "base_to_novel", 16, metric, float(row[metric])) in keys_found
    for row in csv.DictReader((SHARED / "few_shot.csv").read_text().splitlines()):
        assert (row["method"], "few_shot", int(row["shots"]), "test", float(row["accuracy"])) in keys_found

    for row in csv.DictReader((SHARED / "additions.csv").read_text().splitlines()):
        key = (row["printed"], row["protocol"], int(row["shots"]), row["metric"], float(row["value"]))
        assert key in keys_found, key


def test_averages_over_targets_are_the_means_of_the_printed_values_or_a_note_explains_the_difference():
    for protocol, targets in (("cross_dataset", 10), ("domain_generalization", 4)):
        rows = {}
        for line in select_published(protocol=protocol):
            rows.setdefault((line.printed, line.source), {})[line.metric] = line
        for key, row in rows.items():
            values = [line.value for metric, line in row.items() if metric not in ("source", "average")]
            if len(values) == targets and "average" in row:
                agrees = abs(sum(values) / targets - row["average"].value) < 0.06
                assert agrees or "printed average differs" in row["average"].note, key


def test_results_that_use_images_of_the_test_classes_are_marked():
    lines = [line for line in load_published() if "PromptKD" in line.printed]
    assert len(lines) > 100 and all("transductive" in line.note for line in lines)
    own = [line for line in lines if line.printed == "PromptKD"]
    assert {line.protocol for line in own} == {"base_to_novel", "cross_dataset"}
    assert all("epoch chosen on test images" in line.note for line in own)


def test_there_are_no_duplicates():
    keys = [(x.method, x.data, x.protocol, x.shots, x.metric) for x in load_published()]
    assert len(set(keys)) == len(keys)


def test_selection():
    named = select_published(["maple"], ["average"], "base-to-novel")
    assert {line.printed for line in named} == {"MaPLe", "MaPLe (DPC re-run)", "MaPLe (DePT re-run)"}
    assert [line.value for line in named if line.printed == "MaPLe"] == [82.28, 75.14, 78.55]
    assert select_published(["PromptKD"]) and select_published() == list(load_published())
    for bad in ({"methods": ["mapel"]}, {"data": ["dtt"]}, {"protocol": "data_efficient"}):
        with pytest.raises(UserError, match="no published results .* (nearest|known): "):
            select_published(**bad)


def test_csv_reproduces_the_file():
    text = Path(published.__file__).with_name("published.csv").read_text()
    assert published_csv(load_published()) == text


def test_a_table_has_metrics_side_by_side_and_its_sources():
    table = published_table(select_published(["coop"], ["average"]))
    assert table.columns == ("base", "novel", "hm", "test")
    assert any("PromptKD README" in note for note in table.footnotes)
    assert "note" not in published_table(select_published(["cocoop"], ["average"])).keys


def test_a_table_of_transfer_has_the_targets_between_source_and_average():
    table = published_table(select_published(["coop"], protocol="domain-generalization"))
    assert table.columns[0] == "source" and table.columns[-1] == "average"
    assert set(table.columns[1:-1]) == {"imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"}


def test_rows_refer_to_their_notes():
    table = published_table(select_published(["PromptKD", "UPrompt", "FusePrompt"], ["average", "dtd"]))
    marks = {(row.method, row.data): row.more["note"] for row in table.rows}
    marked = marks["PromptKD", "average"]
    assert marked == marks["PromptKD", "dtd"] == "[a]" and marks["UPrompt", "dtd"] == ""
    (note,) = [note for note in table.footnotes if note.startswith("[a] ")]
    assert "transductive" in note and "epoch chosen on test images" in note
    assert any("best of three seeds" in note for note in table.footnotes)


def real(record, method="maple", data="oxford_pets", backbone="ViT-B-16/openai", protocol="base_to_novel", **more):
    made = [record(method, s, data=data, config={"protocol": protocol}, **more) for s in (1, 2, 3)]
    return [dataclasses.replace(r, provenance={**r.provenance, "backbone": backbone}) for r in made]


def columns(table):
    return {name: [row.cells[i] and row.cells[i].mean for row in table.rows] for i, name in enumerate(table.columns)}


def test_published_results_next_to_ours_with_the_difference(record):
    results = real(record, base=95.0, novel=98.0)
    made = add_published(summarise(results), results)
    assert made.columns[:3] == ("base", "base_published", "base_difference")
    note_expected = columns(made)
    assert note_expected["base_published"] == [95.43] and note_expected["base_difference"] == [
        pytest.approx(95.0 - 95.43)
    ]
    assert note_expected["novel_published"] == [97.76]
    assert any("PromptKD README" in note for note in made.footnotes)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"backbone": "tiny"}, "they use ViT-B-16/openai, these runs have backbone tiny"),
        ({"protocol": "data_efficient"}, "none uses this protocol, these runs have protocol data_efficient"),
        ({"data": "emoji"}, "none uses this data, these runs have data emoji"),
        ({"method": "maple, 3x steps"}, "none for these methods with this data, number of shots and protocol"),
        ({"shots": 4}, "none for these methods with this data, number of shots and protocol"),
    ],
)
def test_a_footnote_explains_why_no_published_result_matches(record, change, reason):
    results = real(record, **{"base": 95.0, "novel": 98.0, **change})
    made = add_published(summarise(results), results)
    assert made.columns == ("base", "novel", "hm")
    assert f"No comparable published results: {reason}." in made.footnotes


def test_the_average_is_compared_only_over_the_eleven(record):
    for data, there in ((sorted(BENCHMARK_DATASETS), True), (sorted(BENCHMARK_DATASETS)[:5], False)):
        results = [r for d in data for r in real(record, data=d, base=80.0, novel=70.0)]
        last = add_published(summarise(results, average=True), results)
        cell = last.rows[-1].cells[last.columns.index("base_published")]
        assert last.rows[-1].data == "average"
        assert (cell.mean == 82.28) if there else (cell is None)


def test_the_average_over_targets_is_compared_only_for_the_published_targets(record):
    names = ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"]
    for targets, there in ((names, True), (names[:2], False)):
        metrics = {"source": 70.0, "average": 60.0} | dict.fromkeys(targets, 60.0)
        results = real(record, data="imagenet", protocol="domain_generalization", **metrics)
        made = add_published(summarise(results), results)
        assert ("average_published" in made.columns) is there
        assert columns(made)["imagenetv2_published"] == [64.07] and columns(made)["source_published"] == [70.72]
