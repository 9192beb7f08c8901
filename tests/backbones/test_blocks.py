"""Decomposed blocks equal open_clip's blocks."""

import pytest
import torch
from open_clip.transformer import CustomResidualAttentionBlock, QuickGELU, ResidualAttentionBlock
from torch import nn

from cliptune.backbones.blocks import FrozenBlock
from cliptune.backbones.frozen_linear import onednn_dtypes
from cliptune.backbones.frozen_norm import FrozenNorm
from cliptune.errors import UserError
from tiny_clips import learned, normal

ONEDNN = onednn_dtypes("onednn")

WIDTH, HEADS = 32, 4


def original(act=nn.GELU, **options):
    torch.manual_seed(0)
    module = ResidualAttentionBlock(WIDTH, HEADS, act_layer=act, **options)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.requires_grad_(False)


@pytest.mark.parametrize("onednn", [ONEDNN, frozenset()], ids=["onednn", "torch"])
@pytest.mark.parametrize(
    "module",
    [original(), original(QuickGELU), original(ls_init_value=0.1), original(nn.ReLU)],
    ids=["gelu", "quick", "scale", "relu"],
)
def test_is_the_original(module, onednn):
    block, x = FrozenBlock(module, onednn), learned(2, 7, WIDTH)
    got, expected = block(x), module(x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    g = normal(2, 7, WIDTH, seed=4)
    (ours,), (reference,) = torch.autograd.grad(got, x, g), torch.autograd.grad(expected, x, g)
    assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max()


@pytest.mark.parametrize("onednn", [ONEDNN, frozenset()], ids=["onednn", "torch"])
def test_prefix_tokens_are_attended_to_but_not_returned(onednn):
    module = original()
    block, x, extra = FrozenBlock(module, onednn), learned(3, 5, WIDTH), learned(2, WIDTH, seed=1)
    expected = module(torch.cat([x, extra.expand(3, -1, -1)], 1))[:, :5]
    got = block(x, extra)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    for ours, reference in zip(
        torch.autograd.grad(got.square().sum(), [x, extra]),
        torch.autograd.grad(expected.square().sum(), [x, extra]),
        strict=True,
    ):
        assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_a_mask_hides_keys():
    module = original()
    block, x = FrozenBlock(module, ONEDNN), normal(2, 6, WIDTH)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    got = block.after_attention(x, block.attend(*block.qkv(block.norm1(x)).chunk(3, -1), causal))
    expected = module(x, attn_mask=torch.zeros(6, 6).masked_fill(~causal, float("-inf")))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_separate_queries_and_keys():
    block, x = FrozenBlock(original(), ONEDNN), normal(5, WIDTH)
    torch.testing.assert_close(torch.cat([block.q(x), block.kv(x)], -1), block.qkv(x), rtol=0, atol=1e-5)


def test_no_frozen_weight_is_copied_before_use():
    module = original()
    block = FrozenBlock(module, ONEDNN)
    assert block.qkv.weight.data_ptr() == module.attn.in_proj_weight.data_ptr()
    assert block.fc.weight.data_ptr() == module.mlp.c_fc.weight.data_ptr()


def test_layer_norm_or_none():
    x = normal(3, WIDTH)
    assert FrozenNorm(nn.Identity())(x) is x
    norm = nn.LayerNorm(WIDTH, eps=1e-3)
    assert torch.equal(FrozenNorm(norm)(x), norm(x))


def test_other_blocks_are_refused():
    with pytest.raises(UserError, match="CustomResidualAttentionBlock"):
        FrozenBlock(CustomResidualAttentionBlock(WIDTH, HEADS), ONEDNN)
