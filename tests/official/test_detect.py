"""Whose file it is."""

from pathlib import Path

import pytest
import torch

from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.detect import detect_method

CTX = "prompt_learner.ctx"


def held(*names, unused=(), towers=(), **tensors):
    learned = {name: torch.ones(2, 3) for name in names} | tensors
    return OfficialCheckpoint(Path("m"), learned, dict.fromkeys(towers, torch.ones(1)), None, frozenset(unused))


PROJ, DEEP, VPT = "prompt_learner.proj.weight", "text_encoder.transformer.resblocks.1.VPT_shallow", "image_encoder.VPT"


@pytest.mark.parametrize(
    "what, name",
    [
        (held(CTX, "prompt_learner.meta_net.linear1.weight"), "cocoop"),
        (held(CTX, unused=["prompt_learner.bias_vectors"]), "kgcoop"),
        (held(**{CTX: torch.ones(4, 2, 3)}), "coop"),
        (held(CTX, DEEP, VPT), "ivlp"),
        (held(CTX, DEEP, VPT, unused=["prompt_learner.ZS_image_encoder.proj"]), "promptsrc"),
        (held(CTX, DEEP), "language"),
        (held(CTX, towers=["logit_scale"]), "language"),
        (held(VPT), "vpt"),
        (held(CTX, PROJ, unused=["image_encoder_ori.proj"]), "maple+dapt"),
        (held(CTX, PROJ, "text_adapter.FFN.0.weight"), "restore"),
        (held("prompt_learner.ctx_txt_lst.3"), "dpl"),
        (held("prompt_learner.ctx_img_lst.0"), "dpl"),
    ],
)
def test_told_by_the_names(what, name):
    assert detect_method(what) == name == detect_method(what, name)


@pytest.mark.parametrize(
    "what, names",
    [(held(CTX), ("coop", "kgcoop", "prograd")), (held(CTX, PROJ), ("maple", "maple+dapt", "dapt"))],
)
def test_files_that_are_alike(what, names):
    with pytest.raises(UserError, match=f"m may be of .*which save the same tensors; .* --method {names[0]}"):
        detect_method(what)
    for name in names:
        assert detect_method(what, name) == ("maple+dapt" if name == "dapt" else name)


@pytest.mark.parametrize("method", ["ivlp", "promptsrc"])
def test_methods_that_learn_the_same(method):
    assert detect_method(held(CTX, DEEP, VPT), method) == method
    assert detect_method(held(CTX, DEEP), method) == method


def test_a_wrong_name():
    with pytest.raises(UserError, match="m contains the tensors of coop or kgcoop or prograd, not those of maple"):
        detect_method(held(CTX), "maple")
    with pytest.raises(UserError, match="unknown method 'mapel'; nearest: maple"):
        detect_method(held(CTX, PROJ), "mapel")


def test_the_search_of_dpl():
    with pytest.raises(UserError, match="m is from DPL's search, .*use alpha_e<epoch>_img.npy in"):
        detect_method(held("prompt_learner.ctx_img_lst.0.1"))


def test_nothing_learned():
    with pytest.raises(UserError, match="m contains no tensors of a known method; known methods: cocoop, coop, dpl"):
        detect_method(held(towers=["logit_scale"]))
