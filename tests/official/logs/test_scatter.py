"""Exported logs are read by the research code's parser, here rebuilt from its description, and come back as records."""

import re

import numpy as np
import pytest

from cliptune.errors import UserError
from cliptune.official.logs.collect import collect_records
from cliptune.official.logs.scatter import scatter


def parse_test_res(directory, end_signal):
    """Mean and deviation over the folders in `directory`: the last accuracy after a line equal to the end signal."""
    found = []
    for folder in sorted(p for p in directory.iterdir() if not p.name.startswith(".")):
        last, counts = None, False
        for line in (folder / "log.txt").read_text().splitlines():
            counts = counts or line.strip() == end_signal
            match = re.search(r"\* accuracy: ([\.\deE+-]+)%", line.strip())
            if match and counts:
                last = float(match.group(1))
        if last is not None:
            found.append(last)
    assert found, f"nothing found in {directory}"
    return np.mean(found), np.std(found)


@pytest.fixture
def written(tmp_path):
    def write(results, **options):
        logs, notes = scatter(results, **options)
        for path, text in logs.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path, notes

    return write


def both(record, method="maple", **more):
    return [
        record(
            method, s, base=45.123 + s, novel=39.571 - s, base__swap=1.0, config={"protocol": "base_to_novel"}, **more
        )
        for s in (1, 2, 3)
    ]


@pytest.mark.parametrize("end", ["Finish training", "Finished training"])
def test_their_parser_finds_base_classes_whatever_its_end_signal(record, written, end):
    root, notes = written(both(record))
    mean, std = parse_test_res(root / "base2new/train_base/emoji/shots_16/MaPLe/tiny", end)
    assert mean == pytest.approx((46.1 + 47.1 + 48.1) / 3)
    assert std == pytest.approx(np.std([1, 2, 3]))
    assert notes == ["left out, as the layouts have no place for it: base/swap"]


def test_their_parser_finds_novel_classes_as_test_logs(record, written):
    root, _ = written(both(record))
    folder = root / "base2new/test_new/emoji/shots_16/MaPLe/tiny"
    assert parse_test_res(folder, "=> result")[0] == pytest.approx((38.6 + 37.6 + 36.6) / 3)
    with pytest.raises(AssertionError):
        parse_test_res(folder, "Finish training")


def test_their_parser_finds_few_shot(record, written):
    results = [record("coop", s, data="dtd", shots=4, config={"protocol": "few_shot"}, test=60.0 + s) for s in (1, 2)]
    root, _ = written(results, decimals=2)
    assert parse_test_res(root / "dtd/CoOp/tiny_4shots", "Finish training")[0] == 61.5
    assert "* accuracy: 61.00%" in (root / "dtd/CoOp/tiny_4shots/seed1/log.txt").read_text()


def facts(results):
    keys = ("protocol", "shots", "fraction", "selector")
    return sorted(
        (r.method, r.data, r.seed, *(str(r.config.get(k)) for k in keys), sorted(r.metrics.items())) for r in results
    )


def rounded(results, decimals=1):
    import dataclasses

    def kept(metrics):
        return {k: float(f"{v:.{decimals}f}") for k, v in metrics.items() if "/" not in k}

    return [dataclasses.replace(r, metrics=kept(r.metrics)) for r in results]


def test_there_and_back_gives_the_rounded_numbers(record, written):
    across = {"config": {"protocol": "cross_dataset"}, "data": "imagenet"}
    coreset = {"config": {"protocol": "data_efficient", "fraction": 0.1, "selector": "k_center"}, "shots": 0}
    results = [
        *both(record),
        *both(record, "maple+dapt"),
        *both(record, "coop+dapt"),
        *both(record, "maple, 3x steps"),
        *(record("coop", s, data="folder:my photos/x", config={"protocol": "few_shot"}, test=s / 3) for s in (1, 2)),
        record("cocoop", 1, source=71.25, dtd=45.0, eurosat=47.0, average=46.0, **across),
        record("coop", 1, test=33.333, **coreset),
    ]
    root, _ = written(results)
    made, notes = collect_records(root)
    assert notes == []
    assert facts(r for _, r in made) == facts(rounded(results))


def test_there_and_back_keeps_counts(record, written):
    results = [record("coop", 1, base=100 * 407 / 960, novel=100 * 211 / 400, config={"protocol": "base_to_novel"})]
    root, _ = written(results)
    assert [r.metrics for _, r in collect_records(root, exact=True)[0]] == [results[0].metrics]
    assert [r.metrics for _, r in collect_records(root)[0]] == [{"base": 42.4, "novel": 52.8}]


def test_two_runs_in_one_log_are_refused(record):
    results = [record("coop", 1, test=1.0, data=d) for d in ("folder:a/b", "folder:a b")]
    with pytest.raises(UserError, match="two runs would both be folder_a_b"):
        scatter(results)
