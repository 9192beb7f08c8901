"""Log folders of the research code become records; unfinished or unclear ones are reported."""

import pytest

from cliptune.errors import UserError
from cliptune.official.logs.collect import collect_records
from cliptune.results.summary import summarise


def read(root, **options):
    made, notes = collect_records(root, **options)
    return {folder.as_posix(): result for folder, result in made}, notes


def only(root, **options):
    made, notes = read(root, **options)
    assert len(made) == 1, made
    return next(iter(made.values())), notes


@pytest.mark.parametrize("end", ["Finish training", "Finished training"])
def test_few_shot(tree, log, end):
    root = tree({"caltech101/CoOp/vit_b16_ep50_16shots/nctx16_cscFalse_ctpend/seed2": log(end=end)})
    result, notes = only(root)
    assert notes == []
    assert (result.method, result.data, result.seed, result.metrics) == ("coop", "caltech101", 2, {"test": 92.0})
    config = result.config
    assert (config["protocol"], config["shots"], config["backbone"]) == ("few_shot", 16, "ViT-B-16")
    assert config["released"]["settings"] == "vit_b16_ep50/nctx16_cscFalse_ctpend"
    assert result.provenance["imported_from"]["test"].endswith("seed2/log.txt")
    assert result.provenance["rounding"] == {"test": "as printed, to 1 decimal"}
    assert result.provenance["test_images"] == {"test": 2465}
    assert [(row["epoch"], row["loss"], row["lr"]) for row in result.history] == [
        (0.0, 1.9001, 2e-3),
        (1.0, 0.9001, 1.809e-3),
    ]


def test_exact_accuracy_is_computed_from_counts(tree, log):
    root = tree({"caltech101/CoOp/vit_b16_16shots/seed1": log("92.0")})
    result, _ = only(root, exact=True)
    assert result.metrics["test"] == 100 * 2268 / 2465
    assert result.provenance["rounding"] == {"test": "none: from the counts of images"}
    root = tree({"caltech101/CoOp/vit_b16_16shots/seed1": log("93.5")})  # counts that disagree
    assert only(root, exact=True)[0].metrics["test"] == 93.5


def test_two_decimals(tree, log):
    result, _ = only(tree({"dtd/CoOp/rn50_1shots/seed1": log("92.01")}))
    assert result.metrics["test"] == 92.01
    assert result.provenance["rounding"] == {"test": "as printed, to 2 decimals"}
    assert result.config["backbone"] == "RN50"


def test_base_and_novel_are_paired(tree, log):
    runs = {}
    for seed in (1, 2):
        for part, accuracy in (("train_base", f"9{seed}.0"), ("test_new", f"7{seed}.5")):
            path = f"base2new/{part}/oxford_flowers/shots_16/MaPLe/vit_b16_c2_ep5_batch4_2ctx/seed{seed}"
            runs[path] = log(accuracy, trained=part == "train_base")
    made, notes = read(tree(runs))
    assert notes == []
    assert [r.metrics for r in made.values()] == [{"base": 91.0, "novel": 71.5}, {"base": 92.0, "novel": 72.5}]
    assert {(r.method, r.data, r.config["protocol"]) for r in made.values()} == {
        ("maple", "oxford_flowers", "base_to_novel")
    }
    row = summarise(list(made.values())).rows[0]
    assert row.cells[2].mean == pytest.approx(2 * 91.5 * 72 / (91.5 + 72))


def test_half_a_pair_is_reported(tree, log):
    result, notes = only(tree({"base2new/test_new/dtd/shots_16/CoOp/c/seed1": log(trained=False)}))
    assert result.metrics == {"novel": 92.0}
    assert "novel alone, there is no finished test on base classes" in notes[0]


def test_other_data_and_their_source(tree, log):
    settings = "CoCoOp/vit_b16_c4_ep10_batch1_ctxv1_16shots"
    runs = {f"imagenet/{settings}/seed1": log("71.0")}
    for i, target in enumerate(("caltech101", "dtd")):
        runs[f"evaluation/{settings}/{target}/seed1"] = log(f"{50 + i}.0", trained=False)
    for i, target in enumerate(("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")):
        runs[f"evaluation/{settings}/{target}/seed1"] = log(f"{60 + i}.0", trained=False)
    made, notes = read(tree(runs))
    by_protocol = {r.config["protocol"]: r for r in made.values()}
    assert notes == []
    assert by_protocol["few_shot"].metrics == {"test": 71.0}
    assert by_protocol["cross_dataset"].metrics == {
        "source": 71.0,
        "caltech101": 50.0,
        "dtd": 51.0,
    }  # no average of two of ten
    assert by_protocol["domain_generalization"].metrics["average"] == 61.5
    assert {r.data for r in made.values()} == {"imagenet"} and {r.config["shots"] for r in made.values()} == {16}


def test_shots_of_dap_are_read_from_its_logs(tree, log):
    here = {"trainer": "MaPLe", "title": "OxfordPets", "head": True}
    runs = {
        "output_few/OxfordPets/Uniform_1.0/seed1": log(shots=8, **here),
        "output_final/OxfordPets/Herding_0.1/seed3": log(),
        "output_btn/OxfordPets/Uniform_1.0_16/seed1": log("95.0", classes="base", **here),
        "output_btn_test/OxfordPets/Uniform_1.0_16/seed1": log("97.0", classes="new", trained=False, **here),
    }
    made, notes = read(tree(runs))
    by_protocol = {r.config["protocol"]: r for r in made.values()}
    assert {r.method for r in made.values()} == {"maple+dapt"}
    assert {r.data for r in made.values()} == {"oxford_pets"}
    assert by_protocol["few_shot"].config["shots"] == 8
    chosen = by_protocol["data_efficient"].config
    assert (chosen["fraction"], chosen["selector"], chosen.get("shots")) == (0.1, "herding", None)
    assert by_protocol["base_to_novel"].metrics == {"base": 95.0, "novel": 97.0}
    assert len(notes) == 1 and "gives the number of shots; the record omits it" in notes[0]


def test_dpl_and_zero_shot(tree, log):
    made, _ = read(tree({"few/seed3_eurosat_3": log(), "ZeroshotCLIP/vit_b16/dtd": log(trained=False)}))
    assert sorted((r.method, r.data, r.seed) for r in made.values()) == [("dpl", "eurosat", 3), ("zeroshot", "dtd", 0)]


def test_unfinished_or_unclear_logs_are_reported(tree, log):
    runs = {
        "dtd/CoOp/vit_b16_16shots/seed1": log(end=""),
        "dtd/CoOp/vit_b16_16shots/seed2": "nothing\n",
        "dtd/CoOp/vit_b16_16shots/seed3": log(trained=False).replace("*test*", "*val*"),
        "somewhere/else": log(),
        "dtd/CoOp/vit_b16_16shots/seed4": log(),
        "dtd/ALIGN/vit_b16_16shots/seed1": log(),
    }
    made, notes = read(tree(runs))
    notes_text = "\n".join(notes)
    assert sorted((r.method, r.seed) for r in made.values()) == [("ALIGN", 1), ("coop", 4)]
    assert (
        "seed1/log.txt: unfinished: no line contains 'Finish training' or 'Finished training' after epoch 2"
        in notes_text
    )
    assert "seed2/log.txt: no line with an accuracy" in notes_text
    assert "seed3/log.txt: its last accuracy is of the val split" in notes_text
    assert "else/log.txt: skipped, neither its folder nor its configuration names the dataset" in notes_text
    assert "the trainer ALIGN is unknown" in notes_text
    assert len(notes) == 5


def test_the_last_finished_rerun_counts(tree, log):
    here = "dtd/CoOp/vit_b16_16shots/seed1"
    runs = {
        f"{here}/log.txt": log(end=""),
        f"{here}/log.txt-2022-03-01-10-00-00": log("80.0"),
        f"{here}/log.txt-2022-03-02-10-00-00": log("81.0"),
        f"{here}/log.txt-2022-03-03-10-00-00": log(end=""),
        f"{here}/log.txt.orig": log("1.0"),
    }
    result, notes = only(tree(runs))
    assert result.metrics == {"test": 81.0}
    assert len(notes) == 1 and "earlier runs differ: log.txt-2022-03-01-10-00-00 (80.0)" in notes[0]


def test_configurations_complement_folder_names(tree, log):
    root = tree({"my/run": log(head=True, trainer="PromptSRC", title="DescribableTextures", seed=7, shots=4)})
    result, notes = only(root)
    assert (result.method, result.data, result.seed, result.config["shots"]) == ("promptsrc", "dtd", 7, 4)
    assert result.config["training"] == {"epochs": 2}
    assert notes == []


def test_settings_and_experiments_are_not_mixed(tree, log):
    runs = {
        f"{e}/dtd/CoOp/{c}_16shots/seed1": log(a)
        for e, c, a in (("a", "x", "1.0"), ("a", "y", "2.0"), ("b", "x", "3.0"))
    }
    made, _ = read(tree(runs))
    assert [row.method for row in summarise(list(made.values())).rows] == [
        "coop (folder=a, settings=x)",
        "coop (folder=a, settings=y)",
        "coop (folder=b, settings=x)",
    ]


def test_language_prompting_is_recognised_by_its_settings(tree, log):
    settings = "vit_b16_c2_ep5_batch4_4ctx_language_only_16shots"
    made, _ = read(tree({f"dtd/IVLP/{settings}/seed1": log(), "dtd/IVLP/vit_b16_16shots/seed1": log()}))
    assert sorted(r.method for r in made.values()) == ["ivlp", "language"]


def test_no_logs_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no log.txt under"):
        collect_records(tmp_path)
