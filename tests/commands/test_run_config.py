"""`cliptune run PROTOCOL --config FILE`."""

import pytest

import cliptune as ct
from cliptune.commands.planning import plan_runs
from cliptune.commands.sweep_options import parse_sweep
from cliptune.config import to_dict
from cliptune.results import store
from cliptune.run_dir import read_config


@pytest.fixture(scope="module")
def original(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("original") / "run"
    options = {"n_ctx": 2, "words": "", "lr": 0.01, "seed": 2, "shots": 2, "epochs": 1}
    ct.train("coop", data=f"folder:{photos}", **options, out=folder)
    return folder


def plan(protocol, *arguments):
    options, flags = parse_sweep(protocol, [str(a) for a in arguments])
    return plan_runs(protocol, options, flags)


def test_a_seed_of_the_file_gives_the_same_result(cli, tmp_path, original):
    result = cli("run", "few-shot", "--config", original, "--seeds", 2, "--out", tmp_path / "sweep")
    assert result.code == 0, result.err
    again = store.load_result(tmp_path / "sweep" / "coop" / "seed2" / "result.json")
    before = store.load_result(original / "result.json")
    assert (again.metrics, again.config) == (before.metrics, before.config)


def test_method_data_and_settings_are_those_of_the_file(tmp_path, original):
    jobs = plan("few-shot", "--config", original / "config.yaml", "--out", tmp_path / "sweep")
    wanted = {key: value for key, value in to_dict(read_config(original)).items() if key != "seed"}
    assert [job.run.seed for job in jobs] == [1, 2, 3]
    assert all({key: to_dict(job.run)[key] for key in wanted} == wanted for job in jobs)


def test_options_override_the_file(tmp_path, original):
    more = ("--shots", 1, "--lr", 0.1, 0.2, "--methods", "coop", "--seeds", 1)
    jobs = plan("base-to-novel", "--config", original, *more, "--out", tmp_path / "sweep")
    assert [job.run.training.lr for job in jobs] == [0.1, 0.2]
    assert {(job.run.protocol, job.run.shots, to_dict(job.run)["method"]["n_ctx"]) for job in jobs} == {
        ("base_to_novel", 1, 2)
    }


def test_options_of_another_protocol_are_left_out(tmp_path, original):
    text = (original / "config.yaml").read_text().replace("protocol: few_shot", "protocol: base_to_novel\njoint: true")
    (tmp_path / "config.yaml").write_text(text)
    assert plan("base-to-novel", "--config", tmp_path / "config.yaml", "--out", tmp_path / "sweep")[0].run.joint
    assert not plan("few-shot", "--config", tmp_path / "config.yaml", "--out", tmp_path / "sweep")[0].run.joint


def test_a_coreset_of_the_file(tmp_path, original):
    text = (original / "config.yaml").read_text() + "fraction: 0.5\nselector: herding\n"
    (tmp_path / "config.yaml").write_text(text)
    jobs = plan("data-efficient", "--config", tmp_path / "config.yaml", "--seeds", 1, "--out", tmp_path / "sweep")
    assert [(job.run.fraction, job.run.selector) for job in jobs] == [(0.5, "herding")]


def test_contradictions(refused, original):
    command = ("run", "few-shot", "--config", original, "--out", "OUT")
    assert "is a configuration of coop, not of maple; leave --methods or --config out" in refused(
        *command, "--methods", "maple"
    )
    assert "--preset none has no effect" in refused(*command, "--preset", "none")
