"""Packed tokens: every real one once, and gradients that are the exact transposes."""

import pytest
import torch

from cliptune.backbones.packing import Packing
from cliptune.backbones.sentences import Sentences
from small import normal


def sentences(lengths: list[int]) -> Sentences:
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for i, length in enumerate(lengths):
        ids[i, :length] = torch.arange(1, length + 1) + 100 * i
        ids[i, length - 1] = 999
    return Sentences(ids, torch.full_like(ids, -1), ids.argmax(-1))


@pytest.mark.parametrize(("lengths", "prefix"), [([4, 7, 3], 2), ([5], 4), ([3, 3], 1), ([2, 9], 1)])
def test_every_token_once(lengths, prefix):
    source = sentences(lengths)
    packing = Packing.of(source, prefix)
    tokens = source.ids[packing.row, packing.position]
    wanted = [source.ids[0, :prefix], *(source.ids[i, prefix:length] for i, length in enumerate(lengths))]
    assert torch.equal(tokens, torch.cat(wanted))
    assert (tokens[packing.last] == 999).all()
    shared, asked, seen = packing.spread(tokens[:, None].float().repeat(1, 2), 1)
    assert torch.equal(shared[0, :, 0].long(), source.ids[0, :prefix])
    for i, length in enumerate(lengths):
        own = source.ids[i, prefix:length]
        assert torch.equal(asked[i, : len(own), 0].long(), own)
        assert torch.equal(seen[i, : prefix + len(own), 0].long(), torch.cat([source.ids[0, :prefix], own]))
        assert not asked[i, len(own) :].any() and not seen[i, prefix + len(own) :].any()
    packed = packing.gather(shared, seen[:, prefix:].repeat(1, 1, 2))
    assert torch.equal(packed[:, 0].long(), tokens)


@pytest.mark.parametrize("queries", [0, 2])
def test_gradients(queries):
    packing = Packing.of(sentences([4, 7, 3]), 2)
    packed = normal(len(packing.row), 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: packing.spread(x, queries), packed)
    shared, own = normal(1, 2, 3).double().requires_grad_(), normal(3, 5, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(packing.gather, (shared, own))


def test_who_sees_whom():
    within, causal = Packing.of(sentences([4, 7]), 2).causal()
    assert within.tolist() == [[True, False], [True, True]]
    assert causal.shape == (5, 7) and causal[:, :2].all() and torch.equal(causal[:, 2:], torch.ones(5, 5).tril().bool())
