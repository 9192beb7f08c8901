"""The checker can fail: it names differences, unused recordings and unknown methods."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from cliptune.backbones.teacher import SIXTY_TEMPLATES
from golden.case import Case, recordings
from golden.check import AGREES, DIFFERS, UNKNOWN, check, main
from golden.compare import Report

FOLDER = recordings()


@pytest.fixture
def copy(tmp_path):
    """A function that copies a recorded case with changed tensors and facts and returns the folder."""
    if not (FOLDER / "index.json").is_file():
        pytest.skip(f"{FOLDER} does not contain the cases that are changed here")

    def make(name, tensors=None, facts=None):
        folder = tmp_path / f"case{len(list(tmp_path.iterdir()))}"
        shutil.copytree(FOLDER / name, folder)
        shutil.copy(FOLDER / "clip_weights.py", tmp_path)
        content = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        (folder / "case.json").write_text(json.dumps({**content, **(facts or {})}), encoding="utf-8")
        if tensors:
            stored = folder / "tensors.safetensors"
            changed = load_file(stored)
            tensors(changed)
            save_file(changed, stored)
        return folder

    return make


def failures(lines):
    return [line for line in lines if line.startswith("FAIL")]


def test_a_copy_agrees(copy):
    code, lines = check(copy("coop_end_ctx4_words"))
    assert code == AGREES
    assert not failures(lines)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("zeroshot_template", "text_features_raw"),
        ("zeroshot_resnet", "image_features"),
        ("coop_end_ctx4_words", "param.prompt_learner.ctx"),  # initialised from words, therefore compared
        ("coop_end_ctx4_words", "tokens"),
        ("coop_end_ctx4_words", "loss"),
        ("coop_middle_ctx5_csc", "prompt_embeddings_sample"),
        ("coop_end_ctx16", "trace.losses"),
        ("coop_end_ctx16", "trace.final.prompt_learner.ctx"),
        ("maple_depth1", "grad_sample.prompt_learner.proj.weight"),
        ("maple_depth1", "grad_norm.prompt_learner.proj.bias"),
        ("maple_depth1", "visual_prompt.0"),
        ("maple_depth1", "init.prompt_learner.ctx"),
        ("dapt_mask_binarise", "mask"),
        ("dapt_hide_masks", "mask.seed2"),
        ("preprocess", "output.1"),
    ],
)
def test_one_changed_entry_is_found_and_named(copy, case, name):
    def change(tensors):
        flat = tensors[name].reshape(-1).copy()
        # Every bound is far below a fiftieth of the largest entry.
        flat[0] += max(abs(flat).max() / 50, 1) if flat.dtype.kind in "iu" else abs(flat).max() / 50
        tensors[name] = flat.reshape(tensors[name].shape)

    code, lines = check(copy(case, change))
    assert code == DIFFERS
    assert any(f" {name}: error" in line for line in failures(lines)), "\n".join(lines)
    if name not in ("tokens", "param.prompt_learner.ctx"):  # inputs of other tensors
        assert len(failures(lines)) == 2, "the tensor and its group alone are to blame"


def test_a_changed_input_is_found_by_its_digest(copy):
    def change(tensors):
        tensors["param.prompt_learner.ctx"] = tensors["param.prompt_learner.ctx"] + np.float32(1e-3)

    code, lines = check(copy("coop_end_ctx16", change))
    assert code == DIFFERS
    assert "param.prompt_learner.ctx does not have the sha256" in lines[0]


def test_changed_weights_are_found_by_their_digest(copy):
    code, lines = check(copy("zeroshot_resnet", facts={"clip": {"config": "rn_a", "seed": 0, "sha256": "0" * 64}}))
    assert code == DIFFERS
    assert "sha256" in lines[0]


def test_an_unused_tensor_is_a_failure(copy):
    def add(tensors):
        tensors["something.else"] = np.zeros(3, np.float32)

    code, lines = check(copy("dapt_mask_binarise", add))
    assert code == DIFFERS
    assert "not compared: something.else" in lines[-1]


def test_a_listed_tensor_that_is_missing_is_a_failure(copy):
    code, lines = check(copy("dapt_mask_binarise", lambda tensors: tensors.pop("mask")))
    assert code == DIFFERS
    assert "mask is listed in case.json but not stored" in lines[0]


def test_values_in_case_json_are_compared_too(copy):
    folder = copy("lr_schedule")
    content = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    content["schedules"][1]["lr_per_epoch"][4] *= 1.000001
    content["schedules"][2]["novelty"] = 1
    (folder / "case.json").write_text(json.dumps(content), encoding="utf-8")
    code, lines = check(folder)
    assert code == DIFFERS
    assert any("schedules[1].lr_per_epoch: error" in line for line in lines)
    assert any("not compared: schedules[2].novelty" in line for line in lines)


@pytest.mark.parametrize("mode, own", [("default", ["a photo of a {}."]), ("ensemble", list(SIXTY_TEMPLATES))])
def test_the_sentences_of_a_subnet_are_those_of_its_mode(copy, mode, own):
    code, lines = check(copy(f"dpl_subnet_{mode}", facts={"templates": own}))
    assert code == AGREES, failures(lines)
    others = list(SIXTY_TEMPLATES) if len(own) == 1 else ["a photo of a {}."]
    code, lines = check(copy(f"dpl_subnet_{mode}", facts={"templates": others}))
    assert code == DIFFERS and any(" templates: " in line for line in failures(lines)), lines


def test_an_unknown_method_is_reported_with_exit_code_3(copy, capsys):
    folder = copy("dapt_mask_binarise", facts={"method": "Sorcery"})
    assert main([str(folder)]) == UNKNOWN
    assert "'Sorcery' is not known" in capsys.readouterr().out


def test_differing_wins_over_unknown_wins_over_agreeing(copy):
    def spoil(tensors):
        tensors["mask"] = 1 - tensors["mask"]

    agrees, differs = copy("dapt_mask_binarise"), copy("dapt_mask_binarise", spoil)
    unknown = copy("dapt_mask_binarise", facts={"method": "Sorcery"})
    assert main([str(agrees)]) == AGREES
    assert main([str(unknown), str(agrees)]) == UNKNOWN
    assert main([str(unknown), str(differs), str(agrees)]) == DIFFERS


def test_files_next_to_the_cases_are_ignored(copy, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("cases")
    assert main([str(readme), str(copy("dapt_mask_binarise"))]) == AGREES
    assert "skip README.md" in capsys.readouterr().out
    assert main([str(readme)]) == DIFFERS


def test_a_folder_without_a_case_is_a_failure(tmp_path):
    code, lines = check(tmp_path)
    assert code == DIFFERS
    assert "no case.json" in lines[0]


@pytest.mark.parametrize(
    ("got", "agrees"),
    [
        (torch.tensor([1.0, 2.0]), True),
        (torch.tensor([1.0, 2.0 + 9e-6]), True),
        (torch.tensor([1.0, 2.0 + 2e-5]), False),
        (torch.tensor([1.0, float("nan")]), False),
        (torch.tensor([1.0, float("inf")]), False),
        (torch.tensor([[1.0, 2.0]]), False),
        (torch.tensor([1.0]), False),
    ],
)
def test_features_agree_to_1e_5(got, agrees):
    case = Case(Path("made_up"), {}, {"text_features": np.array([1.0, 2.0], np.float32)})
    report = Report(case)
    report.tensor("text_features", got)
    assert report.passed is agrees
    assert any("FAIL" in line for line in report.lines()) is not agrees


def test_bounds_of_the_case_override():
    tolerances = {"features_atol": 1e-2, "grads_atol": "1e-1 * max|g| of that tensor", "grads_rtol": 0.5}
    names = ("text_features", "grad.x", "grad_norm.x", "loss")
    tensors = {name: np.array([1.0, 10.0]) for name in names}
    report = Report(Case(Path("made_up"), {"tolerances": tolerances}, tensors))
    allowed = {name: report.bound(name).allowed(tensors[name]).tolist() for name in tensors}
    assert allowed["text_features"] == [1e-2, 1e-2]
    assert allowed["grad.x"] == [1.0, 1.0]
    assert allowed["grad_norm.x"] == [0.5, 5.0]
    assert allowed["loss"] == pytest.approx([1.1e-4, 1.01e-3])


def test_a_report_without_comparisons_fails():
    assert not Report(Case(Path("made_up"), {}, {})).passed
