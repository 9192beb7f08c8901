"""CLIP-LoRA: equal to changed weights, exact dropout, merged in evaluation; bad values, new names, other towers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import tiny_clips
from cliptune.adapters.low_rank import LowRankTerms, seeded_dropout
from cliptune.backbones import chunks
from cliptune.backbones.tokenized_text import tokenize_fixed
from cliptune.errors import UserError
from cliptune.methods.clip_lora import ClipLora, block_range
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_tasks import QUICK, learned, same, trained

NAMES = ("cat", "steam_locomotive", "sled dog")


def moved(backbone, method, names=NAMES):
    """A model whose terms have moved from zero."""
    return tiny_clips.moved(TunedModel(backbone, method, names, generator=Generator().manual_seed(1)))


def changed_weights(tuned):
    """A copy of the CLIP whose weights contain the terms."""
    model, factor = copy.deepcopy(tuned.backbone.model), tuned.method.alpha / tuned.method.rank**0.5
    for tower, blocks in (("text", model.transformer.resblocks), ("image", model.visual.transformer.resblocks)):
        for (i, layer), term in tuned.learner.terms(tower).items():
            attn, delta = blocks[i].attn, factor * term.up @ term.down
            rows = {"q": 0, "k": 1, "v": 2}.get(layer)
            with torch.no_grad():
                if rows is None:
                    attn.out_proj.weight += delta
                else:
                    attn.in_proj_weight.chunk(3)[rows].add_(delta)
    return model


@pytest.mark.parametrize("params", [("q", "k", "v"), ("q", "v", "o")])
@pytest.mark.parametrize("shape", tiny_clips.VITS)
def test_logits_and_loss_equal_those_of_changed_weights(shape, params):
    backbone = tiny_clips.backbone(shape)
    tuned = moved(backbone, ClipLora(rank=3, alpha=2.0, dropout=0.0, params=params))
    batch = Batch(tiny_clips.random_images(backbone), torch.tensor([2, 0, 1]))
    model = changed_weights(tuned)
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in NAMES]
    with torch.no_grad():
        text = F.normalize(model.encode_text(backbone.tokenizer(texts)), dim=-1)
        logits = backbone.logit_scale * F.normalize(model.encode_image(batch.images), dim=-1) @ text.T
        out = tuned({"image": batch.images}, State(0, 1))
        torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-3)
        (loss,) = tuned.method.losses(out, batch, State(0, 1)).values()
        torch.testing.assert_close(loss, F.cross_entropy(logits, batch.labels), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tuned.eval()({"image": batch.images}).logits, logits, rtol=0, atol=1e-3)


def test_dropout_is_the_same_again_in_a_step_and_differs_between_steps_and_layers():
    backbone = tiny_clips.backbone("deep_image")
    tuned, views = moved(backbone, ClipLora()), {"image": tiny_clips.random_images(backbone)}

    def logits(epoch, step):
        tuned.method.before_step(tuned, state := State(epoch, 9, step=step, steps=5))
        return tuned(views, state).logits

    assert torch.equal(logits(0, 1), logits(0, 1))
    assert not torch.equal(logits(0, 1), logits(0, 2)) and not torch.equal(logits(0, 0), logits(1, 0))
    x = torch.ones(200, 50)
    one, other = seeded_dropout(x, 0.25, "q"), seeded_dropout(x, 0.25, "k")
    assert one.unique().tolist() == pytest.approx([0.0, 1 / 0.75]) and not torch.equal(one, other)
    assert (one == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_dropout_in_chunks_has_the_gradients_of_one_pass():
    backbone = tiny_clips.backbone("deep_text")
    tuned, views = moved(backbone, ClipLora(encoder="text")), {"image": tiny_clips.random_images(backbone)}
    tuned(views, State(0, 1)).logits.square().mean().backward()
    gradients = [p.grad.clone() for p in tuned.learner.parameters()]
    backbone.text_tower.chunk, before = 4, backbone.text_tower.chunk
    try:
        tuned.zero_grad()
        tuned(views, State(0, 1)).logits.square().mean().backward()
        assert all(p.grad.isfinite().all() and p.grad.any() for p in tuned.learner.parameters())
        again = [p.grad.clone() for p in tuned.learner.parameters()]
        tuned.zero_grad()
        tuned(views, State(0, 1)).logits.square().mean().backward()
        assert all(torch.equal(a, p.grad) for a, p in zip(again, tuned.learner.parameters(), strict=True))
    finally:
        backbone.text_tower.chunk = before
    assert len(gradients) == len(again)


def test_recomputed_chunks_drop_the_same(monkeypatch):
    backbone = tiny_clips.backbone("deep_text")
    monkeypatch.setattr(backbone.text_tower, "chunk", 4)
    monkeypatch.setattr(backbone.text_tower, "budget", 0)
    tuned, views = moved(backbone, ClipLora(encoder="text")), {"image": tiny_clips.random_images(backbone)}
    gradients = []
    for _ in range(2):
        tuned.zero_grad()
        tuned(views, State(0, 1)).logits.square().mean().backward()
        gradients.append([p.grad.clone() for p in tuned.learner.parameters()])
        monkeypatch.setattr(chunks, "checkpoint", lambda features, *chunk, **_: features(*chunk))
    for recomputed, stored in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, stored)


def test_chunks_of_equal_shape_drop_other_entries(monkeypatch):
    """Texts that are the same in every chunk get other features, and the same when the chunks are computed again."""
    backbone = tiny_clips.backbone("deep_text")
    tuned = moved(backbone, ClipLora(encoder="text"))
    texts = tokenize_fixed(backbone.prompt_tokenizer, ["a cat."] * 6)
    prompts = tuned.learner()
    alone = backbone.encode_text(texts.rows(slice(0, 2)), prompts)
    monkeypatch.setattr(backbone.text_tower, "chunk", 2 * int(texts.pool_index[0] + 1))
    first, again = (backbone.encode_text(texts, prompts) for _ in range(2))
    assert torch.equal(first, again)
    assert len({row.detach().numpy().tobytes() for row in first}) == 6
    torch.testing.assert_close(first[:2], alone)


def test_training_starts_at_zero_shot_and_moves_every_tensor():
    backbone = tiny_clips.backbone("deep_image")
    start = TunedModel(backbone, ClipLora(), NAMES)
    plain = F.normalize(backbone.encode_image(tiny_clips.random_images(backbone)), dim=-1)
    torch.testing.assert_close(start({"image": tiny_clips.random_images(backbone)}).image["image"], plain)
    tuned, _ = trained(ClipLora(), backbone, QUICK)
    initial = learned(TunedModel(backbone, ClipLora(), NAMES, generator=Generator().manual_seed(1)))
    assert not [name for name, tensor in learned(tuned).items() if torch.equal(tensor, initial[name])]


def test_towers_and_blocks_are_chosen():
    backbone = tiny_clips.backbone("deep_image")  # 4 image blocks
    learner = ClipLora(encoder="image", position="half-up", params=("fc", "proj")).learner(backbone, NAMES, Generator())
    assert isinstance(learner, LowRankTerms) and not learner.terms("text")
    assert list(learner.terms("image")) == [(i, name) for i in (2, 3) for name in ("fc", "proj")]
    assert learner().text_change is None and learner().share_prefix
    assert not ClipLora().learner(backbone, NAMES, Generator())().share_prefix
    assert [list(block_range(p, 12)) for p in ("bottom", "mid", "up", "top3")] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [9, 10, 11],
    ]


def test_the_dataset_s_template_and_another_scale():
    backbone = tiny_clips.backbone("deep_image")
    sentences = ClipLora(template="").class_prompts(backbone, NAMES, ("{} texture.",))
    assert sentences.ids[0].tolist()[: len(ids := backbone.prompt_tokenizer("cat texture."))] == ids
    views = {"image": tiny_clips.random_images(backbone)}
    out = TunedModel(backbone, ClipLora(logit_scale=50.0), NAMES).eval()(views)
    torch.testing.assert_close(out.logits, 50 * out.image["image"] @ out.text.T)


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"rank": 0}, "rank must be at least 1"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"params": ()}, "params is empty"),
        ({"params": ("q", "q")}, "params contains 'q' twice"),
        ({"template": "a photo"}, "needs exactly one {}"),
    ],
)
def test_values_out_of_range_are_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        ClipLora(**options)


def test_a_part_of_too_few_blocks_is_refused():
    with pytest.raises(UserError, match="position=bottom takes none of the 2 blocks in the image tower .* use all"):
        TunedModel(tiny_clips.backbone("deep_text"), ClipLora(position="bottom"), NAMES)


def test_a_resnet_accepts_changes_of_the_text_tower_alone():
    backbone = tiny_clips.backbone("resnet")
    with pytest.raises(UserError, match="has a ModifiedResNet image tower"):
        TunedModel(backbone, ClipLora(), NAMES)
    tuned, history = trained(ClipLora(encoder="text"), backbone, QUICK)
    assert len(history) == QUICK.epochs and not same(learned(tuned), learned(moved(backbone, tuned.method)))
