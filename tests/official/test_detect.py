"""Detection of the method of a checkpoint file."""

from pathlib import Path

import pytest
import torch

from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.detect import detect_method

CTX, ATTRIBUTE, CLASSIFIER = "prompt_learner.ctx", "prompt_learner.ctx_att1", "linear_probe_proj.weight"


def checkpoint(*names, unused=(), towers=(), **tensors):
    learned = {name: torch.ones(2, 3) for name in names} | tensors
    return OfficialCheckpoint(Path("m"), learned, dict.fromkeys(towers, torch.ones(1)), None, frozenset(unused))


PROJ, DEEP, VPT = "prompt_learner.proj.weight", "text_encoder.transformer.resblocks.1.VPT_shallow", "image_encoder.VPT"


@pytest.mark.parametrize(
    "what, name",
    [
        (checkpoint(CTX, "prompt_learner.meta_net.linear1.weight"), "cocoop"),
        (checkpoint(**{CTX: torch.ones(2, 3), "prompt_learner.meta_net.linear2.weight": torch.ones(6, 5)}), "tcp"),
        (checkpoint(**{CTX: torch.ones(2, 3), "prompt_learner.meta_net.linear2.weight": torch.ones(3, 5)}), "cocoop"),
        (checkpoint("representation_learner.compound_rep_tokens", "image_encoder.proj_rep"), "mmrl"),
        (checkpoint("representation_learner.srra_r2vproj.weight", "image_encoder.A"), "mmrlpp"),
        (checkpoint(CTX, unused=["prompt_learner.bias_vectors"]), "kgcoop"),
        (checkpoint(CTX, CLASSIFIER, towers=["logit_scale"]), "coop+dept"),
        (checkpoint(CTX, CLASSIFIER, PROJ), "maple+dept"),
        (checkpoint(CTX, CLASSIFIER, "prompt_learner.meta_net.linear1.weight"), "cocoop+dept"),
        (checkpoint(CTX, CLASSIFIER, unused=["prompt_learner.bias_vectors", "meta_net.linear1.weight"]), "kgcoop+dept"),
        (checkpoint(CTX, ATTRIBUTE), "coop+atprompt"),
        (checkpoint(CTX, ATTRIBUTE, PROJ), "maple+atprompt"),
        (checkpoint(CTX, ATTRIBUTE, CLASSIFIER), "coop+atprompt+dept"),
        (checkpoint(**{CTX: torch.ones(4, 2, 3)}), "coop"),
        (checkpoint(CTX, DEEP, VPT), "ivlp"),
        (checkpoint(CTX, DEEP, VPT, unused=["prompt_learner.ZS_image_encoder.proj"]), "promptsrc"),
        (checkpoint(CTX, DEEP), "language"),
        (checkpoint(CTX, towers=["logit_scale"]), "language"),
        (checkpoint(VPT), "vpt"),
        (checkpoint(CTX, PROJ, unused=["image_encoder_ori.proj"]), "maple+dapt"),
        (checkpoint(CTX, PROJ, "text_adapter.FFN.0.weight"), "restore"),
        (checkpoint(CTX, PROJ, "adapter_image.fc.0.weight", "adapter_text.fc.0.weight"), "coprompt"),
        (checkpoint(CTX, "prompt_learner.cross_prompts_visual.0"), "hicropl"),
        (checkpoint("prompt_learner.ctx_txt_lst.3"), "dpl"),
        (checkpoint("prompt_learner.ctx_img_lst.0"), "dpl"),
    ],
)
def test_methods_are_detected_by_tensor_names(what, name):
    assert detect_method(what) == name == detect_method(what, name)


@pytest.mark.parametrize(
    "what, names",
    [(checkpoint(CTX), ("coop", "kgcoop", "prograd")), (checkpoint(CTX, PROJ), ("maple", "maple+dapt", "dapt"))],
)
def test_ambiguous_files(what, names):
    with pytest.raises(UserError, match=f"m may be of .*which save the same tensors; .* --method {names[0]}"):
        detect_method(what)
    for name in names:
        assert detect_method(what, name) == ("maple+dapt" if name == "dapt" else name)


@pytest.mark.parametrize("method", ["ivlp", "promptsrc"])
def test_methods_that_learn_the_same(method):
    assert detect_method(checkpoint(CTX, DEEP, VPT), method) == method
    assert detect_method(checkpoint(CTX, DEEP), method) == method


def test_a_wrong_method_name_is_refused():
    with pytest.raises(UserError, match="m contains the tensors of coop or kgcoop or prograd, not those of maple"):
        detect_method(checkpoint(CTX), "maple")
    with pytest.raises(UserError, match="unknown method 'mapel'; nearest: maple"):
        detect_method(checkpoint(CTX, PROJ), "mapel")


def test_the_search_of_dpl():
    with pytest.raises(UserError, match="m is from DPL's search, .*use alpha_e<epoch>_img.npy in"):
        detect_method(checkpoint("prompt_learner.ctx_img_lst.0.1"))


def test_files_without_learned_tensors_are_refused():
    with pytest.raises(UserError, match="m contains no tensors of a known method; known methods: clip_lora, cocoop, "):
        detect_method(checkpoint(towers=["logit_scale"]))
