"""Packed tokens: every real token once, and exact transposes as gradients."""

import pytest
import torch

from cliptune.backbones import length_buckets
from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from tiny_clips import normal


@pytest.fixture(params=[0, 192], ids=["buckets", "one bucket"])
def cost(request, monkeypatch):
    """Cost of a bucket: without one, texts of each length are in a bucket of their own."""
    monkeypatch.setattr(length_buckets, "BUCKET_COST", request.param)


def sentences(lengths: list[int]) -> TokenizedText:
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for i, length in enumerate(lengths):
        ids[i, :length] = torch.arange(1, length + 1) + 100 * i
        ids[i, length - 1] = 999
    return TokenizedText(ids, torch.full_like(ids, -1), ids.argmax(-1))


def in_buckets(packing: PackedSequences, texts: list) -> list:
    """Texts in the order of the buckets."""
    return [texts[i] for i in packing.place.argsort().tolist()]


def rows(padded: list[torch.Tensor]) -> list[torch.Tensor]:
    """The padded texts of all buckets."""
    return [row for bucket in padded for row in bucket]


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize(("lengths", "prefix"), [([4, 7, 3], 2), ([5], 4), ([3, 3], 1), ([2, 9], 1), ([4, 3, 4, 3], 2)])
def test_every_token_once(lengths, prefix):
    source = sentences(lengths)
    packing = PackedSequences.pack(source, prefix, 1)
    tokens = source.ids[packing.row, packing.position]
    texts = in_buckets(packing, [source.ids[i, prefix:length] for i, length in enumerate(lengths)])
    assert torch.equal(tokens, torch.cat([source.ids[0, :prefix], *texts]))
    assert (tokens[packing.pool_index] == 999).all()
    assert packing.row[packing.pool_index].tolist() == list(range(len(lengths)))
    shared, padded = packing.pad(tokens[:, None].float().repeat(1, 2), 1)
    assert torch.equal(shared[0, :, 0].long(), source.ids[0, :prefix])
    asked, seen = rows([query for query, _ in padded]), rows([key for _, key in padded])
    for own, query, key in zip(texts, asked, seen, strict=True):
        assert torch.equal(query[: len(own), 0].long(), own)
        assert torch.equal(key[: prefix + len(own), 0].long(), torch.cat([source.ids[0, :prefix], own]))
        assert not query[len(own) :].any() and not key[prefix + len(own) :].any()
    packed = packing.unpad(shared, [key[:, prefix:].repeat(1, 1, 2) for _, key in padded])
    assert torch.equal(packed[:, 0].long(), tokens)


@pytest.mark.usefixtures("cost")
def test_groups_repeat_the_sentences_with_their_own_prefixes():
    source, lengths, prefix = sentences([4, 7, 3]), [4, 7, 3], 2
    packing = PackedSequences.pack(source, prefix, 2)
    # Columns: the token and its group.
    tokens = torch.stack([source.ids[packing.row, packing.position], packing.group], 1)
    one = PackedSequences.pack(source, prefix, 1)
    again = packing.repeat_groups(source.ids[one.row, one.position][:, None])
    assert torch.equal(again[:, 0], tokens[:, 0])
    assert tokens[packing.pool_index, 0].eq(999).all() and tokens[packing.pool_index, 1].tolist() == [0, 0, 0, 1, 1, 1]
    assert packing.row[packing.pool_index].tolist() == [0, 1, 2] * 2
    shared, padded = packing.pad(tokens.float(), 0)
    every = in_buckets(packing, [(group, row) for group in range(2) for row in range(3)])
    for (group, row), key in zip(every, rows([key for _, key in padded]), strict=True):
        assert torch.equal(shared[group, :, 0].long(), source.ids[0, :prefix])
        length = lengths[row]
        expected = torch.cat([source.ids[0, :prefix], source.ids[row, prefix:length]])
        assert torch.equal(key[:length, 0].long(), expected) and not key[length:].any()
        assert (key[:length, 1] == group).all()
    assert torch.equal(packing.unpad(shared, [key[:, prefix:] for _, key in padded]).long(), tokens)


@pytest.mark.usefixtures("cost")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("queries", [0, 2])
def test_gradients(queries, groups):
    packing = PackedSequences.pack(sentences([4, 7, 3]), 2, groups)
    packed = normal(len(packing.row), 5).double().requires_grad_()

    def padded(x):
        shared, own = packing.pad(x, queries)
        return shared, *(tensor for pair in own for tensor in pair)

    assert torch.autograd.gradcheck(padded, packed)
    shared = normal(groups, 2, 3).double().requires_grad_()
    own = [normal(*bucket.token_mask.shape, 3).double().requires_grad_() for bucket in packing.buckets]
    assert torch.autograd.gradcheck(lambda first, *rest: packing.unpad(first, list(rest)), (shared, *own))


def test_causal_masks():
    within, (causal,) = PackedSequences.pack(sentences([4, 7]), 2, 1).causal_masks()
    assert within.tolist() == [[True, False], [True, True]]
    assert causal.shape == (5, 7) and causal[:, :2].all() and torch.equal(causal[:, 2:], torch.ones(5, 5).tril().bool())


@pytest.mark.usefixtures("cost")
def test_pooled_tokens_see_the_prefix_and_their_own_text():
    packing = PackedSequences.pack(sentences([4, 7, 3]), 2, 1)
    seen = [mask.sum().item() for mask in rows(list(packing.pooled_masks()))]
    assert seen == in_buckets(packing, [4, 7, 3])


def test_an_index_is_computed_once():
    source = sentences([4, 7])
    packing = PackedSequences.pack(source, 2, 1)
    assert PackedSequences.pack(source, 2, 1) is packing and PackedSequences.pack(source, 1, 1) is not packing
    assert packing.between(1, 3) is packing.between(1, 3)


def test_inserted_tokens_come_before_those_of_each_text():
    source = sentences([4, 7, 3])
    packing = PackedSequences.pack(source, 2, 1)
    more = packing.with_inserted(3, 1)
    tokens = torch.where(more.position < 0, 0, source.ids[more.row, more.position.clamp(min=0)])
    assert tokens[:5].tolist() == [1, 0, 0, 0, 2] and (tokens[more.pool_index] == 999).all()
    _, ((_, key),) = more.pad(tokens[:, None].float(), 0)
    assert [row[row > 0].tolist() for row in key[..., 0].long()] == [
        [1, 2, *source.ids[i, 2:length].tolist()] for i, length in enumerate([4, 7, 3])
    ]
