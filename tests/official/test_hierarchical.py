"""Checkpoints of CoPrompt and HiCroPL: what else they need, and files that do not fit."""

import pytest
import torch

from cliptune.errors import UserError
from cliptune.methods.coprompt import CoPrompt
from cliptune.methods.hicropl import HiCroPl
from official_files import CTX, save
from official_models import import_checkpoint, logits
from tiny_clips import backbone
from tiny_tasks import DESCRIPTIONS

pytestmark = pytest.mark.filterwarnings("ignore:the authors' CLIP has QuickGELU:UserWarning")
FIRST, LAST = "prompt_learner.cross_prompts_text.0", "prompt_learner.cross_prompts_visual.1"
SENTENCES = {"descriptions": str(DESCRIPTIONS)}


def changed(path, **tensors):
    """The file with other tensors; None removes one. Names have `__` for a dot."""
    state = dict(torch.load(path, weights_only=False)["state_dict"])
    for name, tensor in tensors.items():
        state.pop(name.replace("__", "."), None)
        state |= {} if tensor is None else {name.replace("__", "."): tensor}
    return save(path, state)


def test_sizes_and_words_are_those_of_the_tensors(file):
    of = backbone("deep_image")
    assert import_checkpoint(file("coprompt", of)[0], of)[1].method == CoPrompt(2, 2)
    path, _ = file("hicropl, words", of)
    with pytest.warns(UserWarning, match="does not show compat: compat='paper' assumed"):
        run = import_checkpoint(path, of, options=SENTENCES)[1]
    assert run.method == HiCroPl(2, 2, 1, "a photo of a", str(DESCRIPTIONS))


def test_sentences_are_asked_for(file):
    of = backbone("deep_image")
    path, _ = file("hicropl", of)
    with pytest.raises(UserError, match="does not contain the JSON file of sentences .* set --descriptions"):
        import_checkpoint(path, of)


def test_the_first_pass_of_the_release_is_that_of_the_trained_mapping(file):
    of = backbone("deep_image")
    path, _ = file("hicropl", of)
    paper, release = (
        import_checkpoint(path, of, options={**SENTENCES, "compat": compat})[0] for compat in ("paper", "release")
    )
    first = logits(release)
    assert torch.equal(first, logits(paper)) and torch.equal(first, logits(paper))
    assert not torch.equal(first, logits(release)), "the release maps the tokens at each pass"


@pytest.mark.parametrize(
    "key, tensors, message",
    [
        ("hicropl", {FIRST: torch.ones(3, 64)}, "cross_prompts_text.0 that is not the same as prompt_learner.ctx"),
        ("hicropl", {LAST: torch.ones(3, 80)}, f"{LAST} is \\(3, 80\\), not \\(3, 96\\)"),
        ("hicropl", {"prompt_learner.text2visual_net.ln_1.bias": None}, "text2visual_net.ln_1.bias is missing"),
        ("hicropl", {FIRST: torch.ones(3, 80), CTX: torch.ones(3, 80)}, "width 80, but the backbone has width 64"),
        ("hicropl", {"prompt_learner.visual_proxy_token.0": None}, "visual_proxy_token.0 is missing"),
        ("hicropl", {"prompt_learner.text_proxy_token.0": None}, "cross_layer"),
        ("coprompt", {"adapter_text.fc.2.weight": None}, "adapter_text.fc.2.weight is missing"),
        (
            "coprompt",
            {"adapter_image.fc.0.weight": torch.ones(16, 48)},
            "fc.0.weight is \\(16, 48\\), not \\(12, 48\\)",
        ),
    ],
)
def test_files_that_do_not_fit(file, key, tensors, message):
    of = backbone("deep_image")
    path = changed(file(key, of)[0], **tensors)
    with pytest.raises(UserError, match=message):
        import_checkpoint(path, of, options={**SENTENCES, "compat": "paper"} if key == "hicropl" else {})
