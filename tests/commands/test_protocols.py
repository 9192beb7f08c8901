"""`cliptune run` with each of the five protocols."""

import json

import pytest

from cliptune.commands.planning import plan_runs, run_subfolder
from cliptune.commands.sweep_options import parse_sweep
from cliptune.config import RunConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.results import store
from tiny_tasks import write_images

BRIEF = ("--methods", "zeroshot", "coop", "coop+dapt", "--epochs", 1, "--seeds", 1, "--cached-views", 0)


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    root = tmp_path_factory.mktemp("protocols")
    return write_images(root / "animals", classes=("cat", "horse", "mouse", "pig"), each=8, masks=root / "masks")


@pytest.fixture
def swept(cli, tmp_path):
    """A function that runs a protocol and returns its output and the results by folder."""

    def call(protocol, *arguments):
        out = tmp_path / "out"
        result = cli("run", protocol, *BRIEF, "--out", out, *arguments)
        assert result.code == 0 and "Traceback" not in result.err, result.err
        return result, {str(p.parent.relative_to(out)): store.load_result(p) for p in sorted(out.rglob("result.json"))}

    return call


def plan(protocol, *arguments):
    options, flags = parse_sweep(protocol, [str(a) for a in arguments])
    return plan_runs(protocol, options, flags)


def test_few_shot(swept, animals):
    result, found = swept("few-shot", "--data", f"folder:{animals}", "--shots", 1, 2)
    assert len(found) == 6 and {r.config["shots"] for r in found.values()} == {1, 2}
    assert all(list(r.metrics) == ["test"] for r in found.values())
    assert "[1]" in result.out and "[2]" in result.out and "coop+dapt" in result.out


def test_base_to_novel_writes_the_usual_folders(swept):
    data = "emoji:styles=fluent-flat,train_per_class=2,val_per_class=1,test_per_class=1"
    _, found = swept("base-to-novel", "--data", data, "--shots", 1, "--methods", "zeroshot", "--joint")
    (result,) = found.values()
    assert {"base", "novel", "joint", "base/joint", "novel/joint"} <= set(result.metrics)
    names = [str(e.folder) for e in plan("base-to-novel", "--methods", "coop", "maple+dapt", "--out", "o")]
    assert names == [f"o/{m}/seed{s}" for s in (1, 2, 3) for m in ("coop", "maple+dapt")]


def test_cross_dataset(swept, animals, tmp_path):
    pets = write_images(tmp_path / "pets", classes=("cat", "dog"), each=4)
    output, found = swept("cross-dataset", "--data", f"folder:{animals}", "--targets", f"folder:{pets}", "--shots", 2)
    assert len(found) == 3
    for result in found.values():
        assert set(result.metrics) == {"source", "pets", "average"}
        assert result.provenance["test_images"] == {"source": len(Folder(animals).examples("test")), "pets": 8}
        assert result.config["targets"] == [f"folder:{pets}"]
    assert "source" in output.out and "average" in output.out


def test_domain_generalization(swept):
    data = "emoji:styles=fluent-3d,train_per_class=1,val_per_class=1,test_per_class=1"
    _, found = swept("domain-generalization", "--data", data, "--shots", 1, "--methods", "zeroshot", "coop")
    assert len(found) == 2
    styles = Emoji(styles=("fluent-3d",)).shifted()
    assert all(set(r.metrics) == {"source", *styles, "average"} for r in found.values())


def test_data_efficient(swept, animals, tmp_path):
    shares = ("--fractions", 0.5, 1, "--selectors", "uniform", "herding")
    output, found = swept("data-efficient", "--data", f"folder:{animals}", "--methods", "coop", "coop+dapt", *shares)
    assert len(found) == 6, "all images are trained on once, whoever would have chosen"
    assert "herding" in output.out and "full" in output.out
    pool = {e.key for e in Folder(animals).examples("train")}
    each = {name: sum(key.startswith(name) for key in pool) for name in ("cat", "horse", "mouse", "pig")}
    for folder, result in found.items():
        share, selector = result.config["fraction"], result.config["selector"]
        assert result.config["shots"] == 0 and list(result.metrics) == ["test"]
        assert folder.split("/")[-2] == f"{selector}-{share:g}"
        path = tmp_path / "out" / folder / "coreset.json"
        assert path.is_file() == (share < 1)
        if share < 1:
            chosen = [key for key, _ in json.loads(path.read_text())["pictures"]]
            assert set(chosen) < pool
            assert {name: sum(key.startswith(name) for key in chosen) for name in each} == {
                name: round(share * count) for name, count in each.items()
            }


def test_repeating_a_sweep_executes_only_missing_runs(swept, animals):
    shots = ("--data", f"folder:{animals}", "--methods", "zeroshot", "--shots")
    _, first = swept("few-shot", *shots, 1)
    _, grown = swept("few-shot", *shots, 1, 2)
    assert list(first) == ["zeroshot/seed1"] and list(grown) == ["zeroshot/seed1", "zeroshot/shots2/seed1"]
    assert first.items() <= grown.items(), "the same record, with its seconds"
    _, back = swept("few-shot", *shots, 2)
    assert back == grown


def test_defaults_of_each_protocol():
    few = plan("few-shot", "--methods", "coop", "--seeds", 1)
    assert [e.run.shots for e in few] == [1, 2, 4, 8, 16]
    shares = plan("data-efficient", "--methods", "coop", "--seeds", 1, "--selectors", "herding", "craig")
    assert [(e.run.fraction, e.run.selector) for e in shares] == [
        *((share, name) for share in (0.05, 0.1, 0.2, 0.3, 0.5) for name in ("herding", "craig")),
        (1.0, "full"),
    ]
    assert {e.run.shots for e in shares} == {0}
    for name in ("base-to-novel", "cross-dataset", "domain-generalization"):
        assert [e.run.shots for e in plan(name, "--methods", "coop", "--seeds", 1)] == [16]


def test_several_datasets():
    found = plan("base-to-novel", "--methods", "coop", "maple", "--data", "emoji", "dtd", "--seeds", 1, 2)
    assert [(e.run.seed, e.run.data, e.label) for e in found] == [
        (seed, data, method) for seed in (1, 2) for data in ("emoji", "dtd") for method in ("coop", "maple")
    ]
    assert len({e.folder for e in found}) == 8


@pytest.mark.parametrize(
    "fields, folders",
    [
        ({"several": (False, False)}, ""),
        ({"data": "dtd", "several": (True, False)}, "dtd"),
        ({"shots": 4, "several": (False, True)}, "shots4"),
        ({"data": "dtd", "shots": 4}, "dtd/shots4"),
        ({"protocol": "data_efficient", "fraction": 0.1, "selector": "craig", "several": (0, 0)}, "craig-0.1"),
    ],
)
def test_folder_names_contain_what_varies(fields, folders):
    several = fields.pop("several", (True, True))
    assert run_subfolder(RunConfig(CoOp(), **{"protocol": "base_to_novel", **fields}), several) == folders


def test_folders_of_different_data_differ():
    specs = ["folder:/a/photos", "folder:/b/photos", "emoji:rho=0.9", "emoji:rho=0,9", "hub:x/y", "hub:x_y"]
    names = [run_subfolder(RunConfig(CoOp(), data=spec, protocol="base_to_novel"), (True, False)) for spec in specs]
    assert len(set(names)) == len(specs) and not any("/" in name or ":" in name for name in names)


def test_flags_of_train_go_to_the_methods_that_have_them():
    flags = ("--lr", 0.5, "--batch_size", 7, "--n-ctx", 3, "--depth=2", "--keep", "best", "--words", "a sketch of a")
    with pytest.warns(UserWarning, match="n_ctx has no effect on kgcoop: 'a sketch of a' starts one vector per word"):
        planned = plan("base-to-novel", "--methods", "zeroshot", "maple+dapt", "kgcoop", *flags)
    found = {e.label: e.run for e in planned}
    assert all((r.training.lr, r.training.batch_size, r.training.keep) == (0.5, 7, "best") for r in found.values())
    maple = found["maple+dapt"].method.base
    assert (maple.n_ctx, maple.depth, maple.words) == (3, 2, "a sketch of a")
    assert found["kgcoop"].method.n_ctx == 3
    assert found["kgcoop"].training.epochs == plan("base-to-novel", "--methods", "kgcoop")[0].run.training.epochs


@pytest.mark.parametrize("value", ["none", "auto"])
def test_flags_override_every_preset(value):
    run = plan(
        "few-shot",
        "--methods",
        "coop",
        "--preset",
        value,
        "--backbone",
        "ViT-B-16",
        "--pretrained",
        "openai",
        "--epochs",
        3,
    )[0].run
    assert run.training.epochs == 3 and run.training.lr == 0.002


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--leraning-rate", 1), "unknown option --leraning-rate"),
        (("--batchsize", 1), "unknown option --batchsize; nearest: --batch-size"),
        (("--seed", 1), "unknown option --seed; nearest: --seeds"),
        (("--pull-push", 1), "unknown option --pull-push"),
        (("--lr", "fast"), "lr"),
        (("--selectors", "hearding"), "unknown coreset method 'hearding'; nearest: herding"),
    ],
)
def test_wrong_flags(flags, message):
    with pytest.raises(UserError, match=message):
        plan("data-efficient", "--methods", "coop", *flags)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("few-shot", "--targets", "dtd"), "few_shot has no targets, only cross_dataset, domain_generalization"),
        (("cross-dataset",), "cross_dataset tests on other datasets"),
        (("domain-generalization", "--targets", "emoji:classes=validation"), "use cross_dataset"),
        (("data-efficient", "--fractions", 2), "fractions must be above 0 and at most 1, got (2.0,)"),
        (("few-shot", "--evaluate-at", 0), "evaluate_at must be at least 1, got (0,)"),
    ],
)
def test_incompatible_flags_are_refused(refused, arguments, message):
    assert message in refused("run", *arguments, "--methods", "zeroshot", "--seeds", 1, "--out", "OUT")


def test_evaluations_during_training_have_their_own_table(swept, animals):
    data = ("--data", f"folder:{animals}", "--shots", 2, "--methods", "coop", "--epochs", 2)
    output, found = swept("base-to-novel", *data, "--evaluate-at", 1, 2)
    (result,) = found.values()
    assert {"base@1", "novel@1", "base@2", "novel@2"} <= set(result.metrics)
    assert output.out.count("coop") == 2 and json.dumps(result.history[0]["@base"]) in json.dumps(result.metrics)
