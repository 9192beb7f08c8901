"""Official names of each learner's tensors, written out."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from cliptune.errors import UserError
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.dpl import Dpl
from cliptune.methods.ivlp import Ivlp
from cliptune.methods.maple import Maple
from cliptune.methods.restore import Restore
from cliptune.official.tensor_names import official_buffers, official_names
from tiny_clips import backbone

DPL = Dpl(longest_text=1, longest_image=2)
BLOCK = "transformer.resblocks"
#: Method -> official name -> where the tensor is in our learner's state.
CALLED = {
    CoOp(3): {"prompt_learner.ctx": "text"},
    CoCoOp(): {
        "prompt_learner.ctx": "text",
        "prompt_learner.meta_net.linear1.weight": "inner.weight",
        "prompt_learner.meta_net.linear1.bias": "inner.bias",
        "prompt_learner.meta_net.linear2.weight": "outer.weight",
        "prompt_learner.meta_net.linear2.bias": "outer.bias",
    },
    Maple(2, 3): {
        "prompt_learner.ctx": "text.0",
        "prompt_learner.compound_prompts_text.0": "text.1",
        "prompt_learner.compound_prompts_text.1": "text.2",
        "prompt_learner.proj.weight": "to_image.0.weight",
        "prompt_learner.proj.bias": "to_image.0.bias",
        "prompt_learner.compound_prompt_projections.0.weight": "to_image.1.weight",
        "prompt_learner.compound_prompt_projections.0.bias": "to_image.1.bias",
        "prompt_learner.compound_prompt_projections.1.weight": "to_image.2.weight",
        "prompt_learner.compound_prompt_projections.1.bias": "to_image.2.bias",
    },
    Ivlp(2, 3, 2, 2): {
        "prompt_learner.ctx": "text.0",
        f"text_encoder.{BLOCK}.1.VPT_shallow": "text.1",
        f"text_encoder.{BLOCK}.2.VPT_shallow": "text.2",
        "image_encoder.VPT": "image.0",
        f"image_encoder.{BLOCK}.1.VPT_shallow": "image.1",
    },
    replace(DPL, lengths_text=(1, 0, 2), lengths_image=(0, 3, 0, 0)): {
        "prompt_learner.ctx_txt_lst.0": "text.0",
        "prompt_learner.ctx_txt_lst.2": "text.2",
        "prompt_learner.ctx_img_lst.1": "image.1",
    },
    DPL: {
        "prompt_learner.alphas_txt": "alphas_text",
        "prompt_learner.alphas_img": "alphas_image",
        **{f"prompt_learner.ctx_txt_lst.{i}.0": f"text.{i}.0" for i in range(3)},
        **{f"prompt_learner.ctx_img_lst.{i}.{n}": f"image.{i}.{n}" for i in range(4) for n in (0, 1)},
    },
    Restore(4, 1): {
        "prompt_learner.ctx": "prompts.text.0",
        "prompt_learner.proj.weight": "prompts.to_image.0.weight",
        "prompt_learner.proj.bias": "prompts.to_image.0.bias",
        **{
            f"{theirs}.{layer}.{part}": f"{ours}.{module}.{part}"
            for theirs, ours in (("text_adapter", "text"), ("visual_adapter", "image"))
            for layer, module in (("post_ln", "norm"), ("FFN.0", "widen"), ("FFN.2", "narrow"))
            for part in ("weight", "bias")
        },
    },
}


@pytest.mark.parametrize("method", CALLED, ids=lambda method: f"{type(method).__name__}")
def test_official_names_of_tensors(method):
    learner = method.learner(backbone("deep_image"), ("cat", "dog"), Generator().manual_seed(0))
    own, called = dict(learner.named_parameters()), official_names(learner)
    assert {name: next(key for key, t in own.items() if t is tensor) for name, tensor in called.items()} == CALLED[
        method
    ]
    assert set(own) == set(CALLED[method].values()), "every parameter has a name"


def test_ratios_are_stored_with_the_parameters():
    learner = Restore(2, 2).learner(backbone("deep_image"), (), Generator().manual_seed(0))
    ratios = {"text_cali_ratio": learner.text.ratio, "vis_cali_ratio": learner.image.ratio}
    assert (
        all(official_buffers(learner)[name] is ratio for name, ratio in ratios.items())
        and len(official_buffers(learner)) == 2
    )
    assert official_buffers(torch.nn.Linear(2, 2)) == {}


def test_an_image_tower_of_fewer_layers():
    """Text tokens of layers missing in the image tower have names without a projection."""
    learner = Maple(2, 4).learner(backbone("deep_text"), (), Generator().manual_seed(0))
    names = official_names(learner)
    assert "prompt_learner.compound_prompts_text.2" in names
    assert "prompt_learner.compound_prompt_projections.1.weight" not in names


def test_a_learner_without_official_names():
    with pytest.raises(UserError, match="no official names are known for a learner of type Linear"):
        official_names(torch.nn.Linear(2, 2))
