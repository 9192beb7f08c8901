"""Checkpoints of the recorded parameters in the official format reproduce the recorded logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import cliptune as ct
from cliptune import experiment
from golden.case import Case, read, recordings
from golden.compare import Report
from official_files import CTX, learner_alone, save, second_tower, state_dict, unused_tensors, with_sentences

#: `case.json`'s method -> the name to pass if the file does not contain it.
NAMES = {"CoOp": "coop", "CoCoOp": "", "KgCoOp": "", "ProGrad": "prograd", "VPT": "", "IVLP": "", "MaPLe": "maple"}
NAMES |= {"PromptSRC": "", "RESTORE": "", "DAPT": "", "DPL subnet": "", "TCP": ""}
NAMES |= {f"DePT + {base}": "" for base in ("CoOp", "CoCoOp", "KgCoOp", "MaPLe")}
NAMES |= {f"ATPrompt + {base}": "" for base in ("CoOp", "CoCoOp", "MaPLe")}
NAMES |= {"MMRL": "", "MMRL++": ""}
#: Methods whose file contains the prompt learner only.
ALONE = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "TCP", "ATPrompt + CoOp", "ATPrompt + CoCoOp")
#: Second frozen image tower of a file.
SECOND = {"PromptSRC": "prompt_learner.ZS_image_encoder", "DPL subnet": "prompt_learner.ZS_image"}
SECOND |= {"DAPT": "image_encoder_ori"}

FOLDER = recordings()
CASES = [path.parent.name for path in sorted(FOLDER.glob("*/case.json")) if read(path.parent).method in NAMES]


def file_of(case: Case) -> dict[str, Tensor]:
    """The state dict as the official code would save it."""
    tensors, hyper, backbone = dict(case.parameters), case.hyper, case.backbone
    if case.method == "RESTORE":
        tensors["text_cali_ratio"] = torch.tensor(hyper["text_calib_r"], dtype=torch.float64)
        tensors["vis_cali_ratio"] = torch.tensor(hyper["vis_calib_r"], dtype=torch.float64)
    if case.method == "DPL subnet":  # empty rows too, for layers without tokens and missing layers
        for tower, width in (("txt", backbone.text_width), ("img", backbone.image_width)):
            for i in range(12):
                tensors.setdefault(f"prompt_learner.ctx_{tower}_lst.{i}", torch.empty(0, width))
    alone = case.method in ALONE
    if case.method in ("MMRL", "MMRL++"):
        return with_sentences(state_dict(tensors, backbone, whole=True), backbone, case.json["prompts"])
    attributes = len(hyper.get("attributes", ()))
    found = state_dict(tensors, backbone, sentences(case), whole=not alone, attributes=attributes)
    if case.method in SECOND:
        found = second_tower(found, SECOND[case.method])
    if case.method.endswith("KgCoOp"):
        found = unused_tensors(found, backbone.embed_dim)
    return learner_alone(found) if alone else found


def sentences(case: Case) -> list[str]:
    """The prompts of the classes; if not recorded, with placeholders for all learned vectors."""
    if CTX not in case.parameters:
        return []
    context = " ".join(["X"] * case.parameters[CTX].shape[-2])
    return case.json.get("prompts") or [f"{context} {name.replace('_', ' ')}." for name in case.classnames]


def options(case: Case) -> dict:
    """Options that the file does not contain, as a user would pass them."""
    found = {"position": case.hyper["class_token_position"]} if case.method == "CoOp" else {}
    if case.method == "TCP":
        found["block"] = case.hyper["block"]
        if case.hyper["dataset"] != "UCF101":
            found["template"] = "a photo of a {}."  # which the file does not show
    if max(case.json.get("attribute_tokens", [1])) > 1:
        found["attributes"] = tuple(case.hyper["attributes"])
    if case.method in ("MMRL", "MMRL++"):
        found = {"layers": tuple(case.hyper["rep_layers"]), "alpha": case.hyper["alpha"], "compat": "release"}
        found |= {"beta": case.hyper["beta"]} if "beta" in case.hyper else {}
    if case.method == "DAPT":
        found["compat"] = "release"  # with the background words that compete
    if case.method == "DPL subnet":
        found["sentence"] = {"default": "template"}.get(case.hyper["ctx_init"], case.hyper["ctx_init"])
        if found["sentence"] == "custom":
            found["templates"] = (case.strings()["dpl_by_dataset"][case.hyper["dataset"]],)
    return found


@pytest.fixture
def import_case(tmp_path, monkeypatch):
    def call(name: str, half: bool = False):
        case = read(FOLDER / name)
        monkeypatch.setattr(experiment, "cached_backbone", lambda *_: case.backbone)
        tensors = file_of(case)
        if half:
            tensors = {name: tensor.half() if tensor.ndim else tensor for name, tensor in tensors.items()}
        path = save(tmp_path / "model.pth.tar-5", tensors)
        classes = () if CTX in case.parameters or "prompt_embeddings" in tensors else case.classnames
        run = ct.import_checkpoint(path, method=NAMES[case.method], classes=classes, **options(case))
        path.unlink()  # whole models are large
        return case, run

    return call


def logits(case: Case, run: ct.Tuned) -> Tensor:
    with torch.no_grad():
        return run.model({"image": case.images}).logits


@pytest.mark.parametrize("name", CASES)
def test_logits_of_the_imported_model(import_case, name, tmp_path):
    case, run = import_case(name)
    report = Report(case)
    report.used(case.tensors)
    report.tensor(next(n for n in ("logits_eval", "eval.logits_base", "logits") if report.wants(n)), logits(case, run))
    assert report.passed, report.lines()
    recorded = run.model.method.class_prompts(case.backbone, case.classnames, run.model.templates)
    own = run.model.method.class_prompts(case.backbone, run.classnames, run.model.templates)
    assert torch.equal(own.ids, recorded.ids), "class names read from the file give the prompts of the recorded ones"
    run.save(tmp_path / "run")
    again = ct.load(tmp_path / "run", case.backbone)
    assert torch.equal(logits(case, again), logits(case, run)) and again.classnames == run.classnames


@pytest.mark.parametrize("name", ["coop_end_ctx16", "maple_depth3", "restore_depth3"])
def test_half_precision_is_close(import_case, name):
    if name not in CASES:
        pytest.skip(f"no recording {name} at {FOLDER}")
    case, run = import_case(name, half=True)
    assert all(tensor.dtype == torch.float32 for tensor in run.model.learner.state_dict().values())
    assert (logits(case, run) - torch.from_numpy(case.tensors["logits"])).abs().max() < 0.5
