"""Changed weights equal a model whose weights are changed, in value and gradient, separate and merged."""

import copy

import pytest
import torch
import torch.nn.functional as F

from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.errors import UserError
from cliptune.types import BlockChange, LowRank, Prompts, TowerChange
from tiny_clips import NAMES, VITS, backbone, learned, random_images, same_gradients

RANK = 2


def terms(width, names="q k v o fc proj", seed=0):
    """Low-rank terms by layer, and their matrices."""
    sizes = {"fc": (width, 4 * width), "proj": (4 * width, width)}
    found = {}
    for i, name in enumerate(names.split()):
        given, made = sizes.get(name, (width, width))
        found[name] = LowRank(learned(RANK, given, seed=seed + 2 * i), learned(made, RANK, seed=seed + 2 * i + 1), 0.3)
    return found, [x for term in found.values() for x in (term.down, term.up)]


def change(of, width, depth, names):
    """A change of two blocks and of LayerNorms, and its tensors."""
    leaves = []
    blocks = []
    for i in range(2):
        linear, own = terms(width, names, seed=20 * i)
        norm = {name: (1 + learned(width, seed=90 + i), learned(width, seed=95 + i)) for name in ("ln_1", "ln_2")}
        blocks.append(BlockChange(linear, norm))
        leaves += [*own, *(x for pair in norm.values() for x in pair)]
    return TowerChange((*blocks, *[None] * (depth - 2))), leaves


def set_weights(modules, tower_change):
    """Write the changed weights into blocks of a copied model, keeping their graph."""
    for block, own in zip(modules, tower_change.blocks, strict=False):
        if own is None:
            continue
        products = {name: term.scale * term.up @ term.down for name, term in own.linear.items()}
        width = block.attn.embed_dim
        parts = [products.get(name, torch.zeros(width, width)) for name in "qkv"]
        for module, name, delta in (
            (block.attn, "in_proj_weight", torch.cat(parts)),
            (block.attn.out_proj, "weight", products.get("o", 0)),
            (block.mlp.c_fc, "weight", products.get("fc", 0)),
            (block.mlp.c_proj, "weight", products.get("proj", 0)),
        ):
            weight = getattr(module, name).detach() + delta
            delattr(module, name)
            setattr(module, name, weight)
        for name, (weight, bias) in own.norm.items():
            norm = getattr(block, name)
            del norm.weight, norm.bias
            norm.weight, norm.bias = weight, bias


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("names", ["q k v", "q v o", "fc proj", "k o fc"])
@pytest.mark.parametrize("backend", ["onednn", "torch"])
def test_image(shape, names, backend):
    of = backbone(shape, backend)
    tower_change, leaves = change(of, of.image_width, of.image_depth, names)
    post = (1 + learned(of.image_width, seed=60), learned(of.image_width, seed=61))
    tower_change = TowerChange(tower_change.blocks, {"ln_post": post, "ln_pre": post})
    model, images = copy.deepcopy(of.model), random_images(of)
    set_weights(model.visual.transformer.resblocks, tower_change)
    for norm in (model.visual.ln_post, model.visual.ln_pre):
        del norm.weight, norm.bias
        norm.weight, norm.bias = post
    expected = model.encode_image(images)
    prompts = Prompts(image_change=tower_change)
    got = of.encode_image(images, prompts)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    unit, other = F.normalize(got, dim=-1), F.normalize(expected, dim=-1)
    torch.testing.assert_close(unit, other, rtol=0, atol=2e-5)
    same_gradients(unit[:, :5].sum(), other[:, :5].sum(), [*leaves, *post])
    with torch.no_grad():
        merged = of.merged(prompts)
        assert not any(block.linear for block in merged.image_change.blocks if block)
        torch.testing.assert_close(F.normalize(of.encode_image(images, merged), dim=-1), other, rtol=0, atol=2e-5)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("names", ["q k v", "q v o", "fc proj"])
def test_text(shape, names):
    of = backbone(shape)
    tower_change, leaves = change(of, of.text_width, of.text_depth, names)
    final = (1 + learned(of.text_width, seed=60), learned(of.text_width, seed=61))
    tower_change = TowerChange(tower_change.blocks, {"ln_final": final})
    model = copy.deepcopy(of.model)
    set_weights(model.transformer.resblocks, tower_change)
    del model.ln_final.weight, model.ln_final.bias
    model.ln_final.weight, model.ln_final.bias = final
    sentences = tokenize_templates(of.prompt_tokenizer, ["a photo of a {}."], NAMES)
    expected = model.encode_text(F.pad(sentences.ids, (0, 77 - sentences.ids.shape[1])))
    prompts = Prompts(text_change=tower_change)
    got = of.encode_text(sentences, prompts)
    unit, other = F.normalize(got, dim=-1), F.normalize(expected, dim=-1)
    torch.testing.assert_close(unit, other, rtol=0, atol=2e-5)
    same_gradients(unit[:, :5].sum(), other[:, :5].sum(), [*leaves, *final])
    with torch.no_grad():
        merged = of.encode_text(sentences, of.merged(prompts))
    torch.testing.assert_close(F.normalize(merged, dim=-1), other, rtol=0, atol=2e-5)


def test_dropout_acts_on_the_input_of_the_term_alone():
    of = backbone("deep_text")
    tower_change, _ = change(of, of.image_width, of.image_depth, "q k v")
    dropped = [
        BlockChange(
            {name: LowRank(t.down, t.up, t.scale, torch.zeros_like) for name, t in own.linear.items()}, own.norm
        )
        for own in tower_change.blocks[:2]
    ]
    norms = [BlockChange(norm=own.norm) for own in tower_change.blocks[:2]]
    one, other = (
        of.encode_image(random_images(of), Prompts(image_change=TowerChange(tuple(own)))) for own in (dropped, norms)
    )
    torch.testing.assert_close(one, other)


def test_a_branch_is_added_to_the_output_of_its_block():
    of = backbone("deep_text")
    width = of.image_width
    weight = learned(width, width)
    own = TowerChange((BlockChange(branch=lambda x: x @ weight),))
    got = of.encode_image(random_images(of), Prompts(image_change=own))
    model = copy.deepcopy(of.model)
    block = model.visual.transformer.resblocks[0]
    forward = block.forward
    block.forward = lambda x, *args, **more: forward(x, *args, **more) + x @ weight
    expected = model.encode_image(random_images(of))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_unknown_layers_and_too_many_blocks_are_refused():
    of = backbone("deep_text")
    term = LowRank(learned(1, of.image_width), learned(of.image_width, 1))
    with pytest.raises(UserError, match="no linear layer 'w'; choose from q, k"):
        of.encode_image(random_images(of), Prompts(image_change=TowerChange((BlockChange({"w": term}),))))
    with pytest.raises(UserError, match="changes 9 blocks, but the tower has 2"):
        of.encode_image(random_images(of), Prompts(image_change=TowerChange((None,) * 9)))
