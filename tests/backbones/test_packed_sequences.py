"""Packed tokens: every real token once, and exact transposes as gradients."""

import pytest
import torch

from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from tiny_clips import normal


def sentences(lengths: list[int]) -> TokenizedText:
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for i, length in enumerate(lengths):
        ids[i, :length] = torch.arange(1, length + 1) + 100 * i
        ids[i, length - 1] = 999
    return TokenizedText(ids, torch.full_like(ids, -1), ids.argmax(-1))


@pytest.mark.parametrize(("lengths", "prefix"), [([4, 7, 3], 2), ([5], 4), ([3, 3], 1), ([2, 9], 1)])
def test_every_token_once(lengths, prefix):
    source = sentences(lengths)
    packing = PackedSequences.pack(source, prefix)
    tokens = source.ids[packing.row, packing.position]
    expected = [source.ids[0, :prefix], *(source.ids[i, prefix:length] for i, length in enumerate(lengths))]
    assert torch.equal(tokens, torch.cat(expected))
    assert (tokens[packing.pool_index] == 999).all()
    shared, asked, seen = packing.pad(tokens[:, None].float().repeat(1, 2), 1)
    assert torch.equal(shared[0, :, 0].long(), source.ids[0, :prefix])
    for i, length in enumerate(lengths):
        own = source.ids[i, prefix:length]
        assert torch.equal(asked[i, : len(own), 0].long(), own)
        assert torch.equal(seen[i, : prefix + len(own), 0].long(), torch.cat([source.ids[0, :prefix], own]))
        assert not asked[i, len(own) :].any() and not seen[i, prefix + len(own) :].any()
    packed = packing.unpad(shared, seen[:, prefix:].repeat(1, 1, 2))
    assert torch.equal(packed[:, 0].long(), tokens)


def test_groups_repeat_the_sentences_with_their_own_prefixes():
    source, lengths, prefix = sentences([4, 7, 3]), [4, 7, 3], 2
    packing = PackedSequences.pack(source, prefix, 2)
    # Columns: the token and its group.
    tokens = torch.stack([source.ids[packing.row, packing.position], packing.group], 1)
    one = PackedSequences.pack(source, prefix)
    again = packing.repeat_groups(source.ids[one.row, one.position][:, None])
    assert torch.equal(again[:, 0], tokens[:, 0])
    assert tokens[packing.pool_index, 0].eq(999).all() and tokens[packing.pool_index, 1].tolist() == [0, 0, 0, 1, 1, 1]
    shared, _, seen = packing.pad(tokens.float(), 0)
    for i, (group, row) in enumerate((group, row) for group in range(2) for row in range(3)):
        assert torch.equal(shared[group, :, 0].long(), source.ids[0, :prefix])
        length = lengths[row]
        expected = torch.cat([source.ids[0, :prefix], source.ids[row, prefix:length]])
        assert torch.equal(seen[i, :length, 0].long(), expected) and not seen[i, length:].any()
        assert (seen[i, :length, 1] == group).all()
    assert torch.equal(packing.unpad(shared, seen[:, prefix:]).long(), tokens)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("queries", [0, 2])
def test_gradients(queries, groups):
    packing = PackedSequences.pack(sentences([4, 7, 3]), 2, groups)
    packed = normal(len(packing.row), 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: packing.pad(x, queries), packed)
    shared, own = normal(groups, 2, 3).double().requires_grad_(), normal(groups * 3, 5, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(packing.unpad, (shared, own))


def test_causal_masks():
    within, causal = PackedSequences.pack(sentences([4, 7]), 2).causal_masks()
    assert within.tolist() == [[True, False], [True, True]]
    assert causal.shape == (5, 7) and causal[:, :2].all() and torch.equal(causal[:, 2:], torch.ones(5, 5).tril().bool())
