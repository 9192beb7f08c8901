"""Tokenized sentences have the tokens, slots and ends of the reference, for any names."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import textbook
import tiny_clips
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.tokenized_text import (
    TokenizedText,
    average_embeddings,
    tokenize_fixed,
    tokenize_templates,
    tokenize_with_context,
    underscores_to_spaces,
)
from cliptune.errors import UserError
from cliptune.types import Prompts

ENCODE = tiny_clips.backbone("deep_text").prompt_tokenizer
POSITIONS = ["end", "middle", "front"]
#: Includes the literal marker, which becomes an end-of-text token and moves the pooled position.
WORD = st.sampled_from(
    ["cat", "x", "Boeing", "707-320", "Müller's", "été", "<|endoftext|>", "!?", "antidisestablishmentarian", "犬"]
)
NAME = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
some = settings(max_examples=40, deadline=None)


def reference(words: str, n_ctx: int, names: list[str], position: str) -> tuple[list[list[int]], list[list[int]]]:
    """Ids and slots of each row, unpadded, cut out of the sentence as CoOp's paper describes the three layouts."""
    ids, slots = [], []
    for name in names:
        sentence = ENCODE(f"{words} {name}.")
        length = len(ENCODE(name)) - 2
        start, context, rest = sentence[:1], sentence[1 : 1 + n_ctx], sentence[1 + n_ctx :]
        half = n_ctx // 2
        token, name_slots, rest_slots = [-1], [-1] * length, [-1] * (len(rest) - length)
        count = list(range(n_ctx))
        if position == "end":
            ids.append(start + context + rest)
            slots.append(token + count + name_slots + rest_slots)
        elif position == "middle":
            ids.append(start + context[:half] + rest[:length] + context[half:] + rest[length:])
            slots.append(token + count[:half] + name_slots + count[half:] + rest_slots)
        else:
            ids.append(start + rest[:length] + context + rest[length:])
            slots.append(token + name_slots + count + rest_slots)
    return ids, slots


@some
@given(names=st.lists(NAME, min_size=1, max_size=4), n_ctx=st.integers(1, 5), position=st.sampled_from(POSITIONS))
def test_layout(names, n_ctx, position):
    words = " ".join(["X"] * n_ctx)
    sentences = tokenize_with_context(ENCODE, "", n_ctx, names, position)
    ids, slots = reference(words, n_ctx, names, position)
    for i in range(len(names)):
        pad = sentences.ids.shape[1] - len(ids[i])
        assert sentences.ids[i].tolist() == ids[i] + [0] * pad
        assert sentences.slots[i].tolist() == slots[i] + [-1] * pad
        assert int(sentences.pool_index[i]) == ids[i].index(max(ids[i]))


@some
@given(names=st.lists(NAME, min_size=1, max_size=4), position=st.sampled_from(POSITIONS), shared=st.booleans())
def test_shared_prefix_is_shared(names, position, shared):
    """Every row has the same token or learned vector in the prefix, and its own end."""
    sentences = tokenize_with_context(ENCODE, "", 3, names, position)
    length = sentences.shared_prefix(shared)
    assert 1 <= length <= int(sentences.pool_index.min())
    assert (sentences.ids[:, :length] == sentences.ids[0, :length]).all()
    assert (sentences.slots[:, :length] == sentences.slots[0, :length]).all()
    if not shared:
        assert (sentences.slots[:, :length] == -1).all()


@pytest.mark.parametrize(
    ("position", "shared", "length"),
    [("end", True, 4), ("end", False, 1), ("middle", True, 2), ("front", True, 1), ("front", False, 1)],
)
def test_length_of_the_prefix(position, shared, length):
    sentences = tokenize_with_context(ENCODE, "", 3, ["cat", "dog"], position)
    assert sentences.shared_prefix(shared) == length


def test_frozen_words_after_the_vectors():
    """MaPLe's default: two vectors for "a photo", then the fixed words "of a"."""
    sentences = tokenize_with_context(ENCODE, "a photo of a", 2, ["cat", "dog"])
    assert sentences.ids[0].tolist() == ENCODE("a photo of a cat.")
    assert sentences.slots[0].tolist() == [-1, 0, 1, -1, -1, -1, -1, -1]
    assert sentences.shared_prefix(True) == 5


def test_too_few_words():
    with pytest.raises(UserError, match="'a photo' are 2 tokens.*n_ctx=3"):
        tokenize_with_context(ENCODE, "a photo", 3, ["cat"])


@some
@given(texts=st.lists(NAME, min_size=1, max_size=5))
def test_plain_sentences_are_the_textbook_tokens_cut_short(texts):
    sentences, ids = tokenize_fixed(ENCODE, texts), textbook.tokens(ENCODE, texts)
    length = sentences.ids.shape[1]
    assert torch.equal(sentences.ids, ids[:, :length]) and not ids[:, length:].any()
    assert torch.equal(sentences.pool_index, ids.argmax(-1)) and (sentences.slots == -1).all()


def test_templates_of_a_class_are_adjacent():
    sentences = tokenize_templates(ENCODE, ("a {}.", "the {} there"), ["sea_lion", "cat"])
    assert sentences.per_class == 2 and len(sentences) == 4
    for row, text in zip(sentences.ids, ("a sea lion.", "the sea lion there", "a cat.", "the cat there"), strict=True):
        assert row[row > 0].tolist() == ENCODE(text)


def test_rows_and_device():
    sentences = tokenize_with_context(ENCODE, "", 2, ["cat", "sea_lion", "dog"])
    part = sentences.rows(slice(1, 3)).to(torch.device("cpu"))
    assert isinstance(part, TokenizedText) and len(part) == 2
    assert torch.equal(part.ids, sentences.ids[1:]) and torch.equal(part.slots, sentences.slots[1:])
    assert torch.equal(part.pool_index, sentences.pool_index[1:])


def test_blended_embeddings_are_the_mean_of_whole_padded_sentences():
    table, names = torch.arange(49408 * 2.0).reshape(-1, 2).sin(), ["sea_lion", "cat"]
    templates = ("a photo of a very large {} in the snow.", "a {}.", "the toy {}.")
    got = average_embeddings(ENCODE, lambda ids: table[ids], templates, names)
    padded = [textbook.tokens(ENCODE, [t.format(underscores_to_spaces(name)) for name in names]) for t in templates]
    expected = torch.stack([table[ids] for ids in padded]).mean(0)
    torch.testing.assert_close(got.embeddings, expected[:, : got.ids.shape[1]])
    assert torch.equal(got.pool_index, padded[-1].argmax(-1)) and got.per_class == 1 and len(got) == 2
    assert got.ids[1, : got.pool_index[1] + 1].tolist() == ENCODE("the toy cat.")


def test_blended_sentences_share_the_common_prefix_of_the_templates():
    table = torch.arange(49408 * 2.0).reshape(-1, 2).sin()

    def prefix(*templates):
        return average_embeddings(ENCODE, lambda ids: table[ids], templates, ["sea_lion", "cat"]).shared_prefix(True)

    assert prefix("a photo of the {}.") == 5
    assert prefix("a {} in the snow.", "a photo of the {}.") == 2, "the name is the third token of the first template"


def test_blended_sentences_are_indexed_and_moved():
    found = average_embeddings(
        ENCODE, lambda ids: ids[..., None].float(), ("a {}.", "the toy {}."), ["cat", "sea_lion", "dog"]
    )
    part = found.rows(slice(1, 3)).to(torch.device("cpu"))
    assert torch.equal(part.embeddings, found.embeddings[1:])


@pytest.mark.parametrize("chunk", [4096, 1])
def test_blended_features_equal_the_reference(chunk):
    of = tiny_clips.backbone("deep_text")
    templates = ("a photo of a {}.", "a {} in a video game.", "itap of the {}.")
    names = [underscores_to_spaces(name) for name in tiny_clips.NAMES]
    padded = [textbook.tokens(of.prompt_tokenizer, [t.format(name) for name in names]) for t in templates]
    tokens = torch.stack([of.model.token_embedding(ids) for ids in padded]).mean(0)
    expected = textbook.from_tokens(of.model, tokens, padded[-1].argmax(-1))
    got = PackedTextTower(of.model, of.onednn_dtypes, chunk)(
        average_embeddings(of.prompt_tokenizer, of.embed_tokens, templates, tiny_clips.NAMES), Prompts()
    )
    torch.testing.assert_close(textbook.unit(got), textbook.unit(expected), rtol=0, atol=1e-5)


def test_underscores_in_names_become_spaces():
    assert underscores_to_spaces("Sea_Lion (Zalophus)") == "Sea Lion (Zalophus)"
