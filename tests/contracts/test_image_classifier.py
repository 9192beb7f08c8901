"""Every method leaves cliptune with its logits: as a traced module, ONNX or class matrix, or it is refused."""

import re
import warnings

import numpy as np
import pytest
import torch

import tiny_clips
from cliptune import methods
from cliptune.data.transforms import standardise
from cliptune.errors import UserError
from cliptune.export.class_matrix import class_matrix
from cliptune.export.onnx_file import session, write_onnx
from cliptune.export.torch_file import trace
from cliptune.model.image_classifier import ImageClassifier
from contracts.test_export import last_stage
from contracts.test_methods import PLAIN, refusal

#: Methods whose graph consists of parts of those of the others.
SAME_GRAPH = {"coop", "cupl", "kgcoop", "language", "prograd", "taskres", "tcp", "coprompt", "ivlp", "promptsrc", "vpt"}
SAME_GRAPH |= {"tip_adapter_f", "mmrl", "restore", "clip_adapter", "clip_lora", "two_stage_fs", "linear_probe", "dpl"}
WRAPPED = ["coop+dept", "clip_lora+dapt", "maple+copypaste", "coop+atprompt"]
OTHERS = [f"{name}+{outer}" for name in PLAIN if methods.get(name).trains for outer in ("dapt", "dept")]
ALL = [*PLAIN, *WRAPPED, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS if name not in WRAPPED)]
GRAPHS = [name for name in [*PLAIN, "coop+dept"] if name not in SAME_GRAPH]
GRAPHS += [pytest.param(name, marks=pytest.mark.slow) for name in [*sorted(SAME_GRAPH), *OTHERS] if name not in GRAPHS]


@pytest.fixture(scope="module")
def run_of():
    kept = {}

    def call(name):
        if why := refusal(name):
            pytest.skip(why)
        if name not in kept:
            with torch.enable_grad():
                kept[name] = last_stage(name, tiny_clips.backbone("deep_text"))
        return kept[name]

    return call


def pixels(run, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, *run.backbone.preprocess.size), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def logits(run, images):
    preprocess = run.backbone.preprocess
    return run({"image": standardise(images, preprocess.mean, preprocess.std)}).logits[:, : len(run.classnames)]


def classifier_of(run):
    """The module, or None if it is refused in one sentence because texts depend on the image."""
    try:
        return ImageClassifier(run).eval()
    except UserError as error:
        assert run.prompts().conditional is not None
        assert not re.search(r"[.!?]\s", str(error).strip(".")) and "depend on the image" in str(error)
        return None


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_a_traced_module_gives_the_logits_for_any_number_of_images(name, run_of):
    run = run_of(name)
    if (classifier := classifier_of(run)) is None:
        return
    assert not list(classifier.parameters()) and not classifier.training
    with warnings.catch_warnings(action="ignore"):
        traced = torch.jit.trace(classifier, (pixels(run, 2, 0),))
    images = pixels(run, 5, 1)
    assert torch.allclose(traced(images), logits(run, images), atol=1e-4)
    assert torch.allclose(classifier(images.float() / 255), logits(run, images), atol=1e-4)


@pytest.mark.parametrize("name", GRAPHS)
@torch.no_grad()
def test_onnxruntime_and_torch_export_give_the_logits(name, run_of, tmp_path):
    pytest.importorskip("onnxscript")
    run = run_of(name)
    if (classifier := classifier_of(run)) is None:
        return
    program = trace(classifier, name)
    write_onnx(program, tmp_path / "model.onnx", {"classes": list(run.classnames), "preprocessing": {}})
    for count in (1, 5):
        images = pixels(run, count, count)
        expected = logits(run, images)
        assert torch.allclose(program.module()(images), expected, atol=1e-4)
        assert np.abs(session(tmp_path / "model.onnx")(images.numpy()) - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_a_class_matrix_gives_the_logits_or_is_refused(name, run_of):
    run = run_of(name)
    try:
        found = class_matrix(run)
    except UserError as error:
        assert not re.search(r"[.!?]\s", str(error).strip(".")) and "use " in str(error)
        linear = run.fixed_image and run.prompts().head is None and run.prompts().adapt_image is None
        assert not linear or run.prompts().conditional is not None or run.prompts().parts
        return
    assert run.fixed_image
    features = tiny_clips.normal(6, run.backbone.embed_dim, seed=3)
    expected = run({"image": 3 * features}).logits[:, : len(run.classnames)]
    unit = (features / features.norm(dim=-1, keepdim=True)).numpy()
    got = found.logit_scale * unit @ found.class_matrix.T + found.logit_bias
    assert np.allclose(got, expected.numpy(), atol=1e-4 * float(expected.abs().max()))
