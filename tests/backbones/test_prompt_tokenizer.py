"""Token ids equal those of open_clip's tokenizer, and learned context replaces words in place."""

import random

import pytest
import torch
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer

import tiny_tokenizers
from cliptune.backbones.prompt_tokenizer import PromptTokenizer
from cliptune.backbones.tokenized_text import tokenize_fixed, tokenize_with_context
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError

LENGTH = 30
TEXTS = (
    "a photo of a cat.",
    "A Red Fox, e.g. St. Bernard!",
    "x",
    "the  dog\t_and_ the   horse",
    "fish &amp; chips",
    "",
)
ALL = [*tiny_tokenizers.FRAMES]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A function that returns open_clip's tokenizer of a kind with the given arguments."""

    def made(kind: str, **options) -> HFTokenizer:
        folder = tmp_path_factory.mktemp(kind)
        tiny_tokenizers.save(kind, folder)
        return HFTokenizer(str(folder), context_length=LENGTH, **options)

    return made


def rows(tokenizer, texts=TEXTS) -> torch.Tensor:
    """Our ids, padded to the full length."""
    return tokenize_fixed(PromptTokenizer("x", tokenizer, LENGTH, full_length=True), texts).ids


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("clean", ["whitespace", "lower", "canonicalize"])
def test_ids_equal_open_clips(load, kind, clean):
    tokenizer = load(kind, clean=clean)
    assert torch.equal(rows(tokenizer), tokenizer(list(TEXTS)))


def test_ids_with_separators_stripped(load):
    tokenizer = load("bert", strip_sep_token=True)
    expected = tokenizer(list(TEXTS))
    assert torch.equal(rows(tokenizer), expected) and not (expected == tokenizer.tokenizer.sep_token_id).any()


def test_ids_with_a_class_token_after_the_padding(load):
    tokenizer = load("xlm", tokenizer_mode="clips")
    tokenizer.tokenizer.add_special_tokens({"cls_token": "X"})
    expected = tokenizer(list(TEXTS))
    assert torch.equal(rows(tokenizer), expected) and (expected[:, -1] == tokenizer.tokenizer.cls_token_id).all()
    encode = PromptTokenizer("x", tokenizer, LENGTH, "last", full_length=True)
    sentences = tokenize_with_context(encode, "", 2, ["cat"])
    assert sentences.ids[0, -1] == expected[0, -1] and sentences.slots[0, :4].tolist() == [-1, 0, 1, -1]


def test_ids_padded_in_front(load):
    tokenizer = load("t5")
    tokenizer.tokenizer.padding_side = "left"
    assert torch.equal(rows(tokenizer), tokenizer(list(TEXTS)))
    with pytest.raises(UserError, match="words have no fixed position in a sentence, which learned context needs"):
        tokenize_with_context(PromptTokenizer("x", tokenizer, LENGTH), "", 2, ["cat"])


def test_ids_of_siglips_importer(load):
    tokenizer = SigLipTokenizer.__new__(SigLipTokenizer)
    tokenizer.tokenizer, tokenizer.context_length = load("siglip").tokenizer, LENGTH
    assert torch.equal(rows(tokenizer), tokenizer(list(TEXTS)))


@pytest.mark.parametrize("clean", ["whitespace", "lower", "canonicalize"])
@pytest.mark.parametrize("reduction", ["", "simple", "random", "shuffle"])
def test_clips_own_tokenizer_keeps_its_arguments(clean, reduction):
    open_clips = SimpleTokenizer(context_length=LENGTH, clean=clean, reduction_mask=reduction)
    random.seed(0)
    expected = open_clips(list(TEXTS))
    assert torch.equal(rows(ClipTokenizer.like(open_clips)), expected)
    assert torch.equal(rows(ClipTokenizer(LENGTH, clean=clean, reduction_mask=reduction)), expected)


def test_further_special_tokens_of_clips_tokenizer():
    open_clips = SimpleTokenizer(context_length=LENGTH, additional_special_tokens=["<mask>"])
    texts = ["a <mask> cat", "<|endoftext|> <mask>"]
    own = rows(ClipTokenizer.like(open_clips), texts)
    assert own[0].tolist() == open_clips([texts[0]])[0].tolist() and 49408 in own[0]
    assert own[1, :4].tolist() == [49406, 49407, 49408, 49407]
    assert "<start_of_text>" in open_clips.encoder, "open_clip's own tokenizer was changed"


def test_words_picked_by_syntax_need_nltk(monkeypatch):
    open_clips = SimpleTokenizer(context_length=LENGTH, reduction_mask="syntax")
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    with pytest.raises(UserError, match="selects words by syntax, which needs nltk"):
        rows(ClipTokenizer.like(open_clips))


@pytest.mark.parametrize("kind", ALL)
def test_too_long_sentences_are_refused(load, kind):
    encode = PromptTokenizer("small", load(kind), 20)
    with pytest.raises(UserError, match=r"^the sentence 'a photo of .*' has \d+ tokens, but 'small' accepts 20; short"):
        encode("a photo of a cat " * 5)
    for call in (
        lambda: tokenize_with_context(encode, "", 18, ["red fox red fox"]),
        lambda: tokenize_with_context(encode, "", 21, ["x"]),
    ):
        with pytest.raises(UserError, match="but 'small' accepts 20"):
            call()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("words", ["", "a photo of"])
def test_context_replaces_words_in_place(load, kind, words):
    """Everything around the vectors is as in the fixed sentence: name tokens, special tokens, padding."""
    tokenizer = load(kind)
    encode, names = PromptTokenizer("x", tokenizer, LENGTH, "last", full_length=True), ["cat", "red_fox"]
    sentences, (lead, tail) = tokenize_with_context(encode, words, 3, names), encode.affixes
    for ids, slots, name in zip(sentences.ids, sentences.slots, ("cat", "red fox"), strict=True):
        fixed = encode.word_ids(words or "X X X")
        whole = encode.word_ids(f"{words or 'X X X'} {name}.")
        assert slots.tolist()[: len(lead) + 3] == [-1] * len(lead) + [0, 1, 2]
        assert (slots[len(lead) + 3 :] == -1).all()
        after = whole[3:] if words else whole[len(fixed) :]
        assert after, "the name is not swallowed"
        assert ids.tolist()[len(lead) + 3 :][: len(after) + len(tail)] == [*after, *tail]
        assert (ids[len(lead) + 3 + len(after) + len(tail) :] == encode.pad_id).all() and ids[
            : len(lead)
        ].tolist() == lead
    if words and len(encode.word_ids(words)) == 3:
        assert torch.equal(sentences.ids, tokenizer([f"{words} {name}." for name in ("cat", "red fox")]))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("position, before", [("end", 4), ("middle", 2), ("front", 0)])
def test_the_position_of_the_class_name(load, kind, position, before):
    encode = PromptTokenizer("x", load(kind), LENGTH, full_length=True)
    (ids,), (slots,) = (lambda s: (s.ids, s.slots))(tokenize_with_context(encode, "", 4, ["red fox"], position))
    fixed = encode.word_ids("X X X X")
    name = encode.word_ids("X X X X red fox")[len(fixed) :]
    at = encode.context_start + before
    assert ids[at : at + len(name)].tolist() == name and (slots[at : at + len(name)] == -1).all()
    assert [s for s in slots.tolist() if s >= 0] == [0, 1, 2, 3]
    assert (
        encode.word_ids("X X X X red fox.")[len(fixed) + len(name) :]
        == ids[at + len(name) :][slots[at + len(name) :] < 0][
            : len(encode.word_ids("X X X X red fox.")) - len(fixed) - len(name)
        ].tolist()
    )


@pytest.mark.parametrize("kind", ALL)
def test_vectors_before_those_of_words(load, kind):
    """For ProGrad: each vector takes one position, whatever the number of tokens of a placeholder."""
    encode = PromptTokenizer("x", load(kind), LENGTH, full_length=True)
    words = encode.word_ids("X X a photo")[len(encode.word_ids("X X")) :]
    sentences = tokenize_with_context(encode, "a photo", 2 + len(words), ["cat"], free=2)
    ids, slots, first = sentences.ids[0].tolist(), sentences.slots[0].tolist(), encode.context_start
    assert ids[first + 2 : first + 2 + len(words)] == words
    assert slots[first:].index(-1) == 2 + len(words) and sum(slot >= 0 for slot in slots) == 2 + len(words)
    name = encode.word_ids("X X a photo cat.")[len(encode.word_ids("X X a photo")) :]
    assert ids[first + 2 + len(words) :][: len(name)] == name


def test_a_tokenizer_that_joins_words_is_refused():
    class Joining(SimpleTokenizer):
        def encode(self, text):
            return [len(text) % 97]

    with pytest.raises(UserError, match="joins 'X X' with the class name 'cat', so learned context has no position"):
        tokenize_with_context(PromptTokenizer("x", Joining(), 77), "", 2, ["cat"])


@pytest.mark.parametrize("pool", ["argmax", "eos", "first", "last"])
@pytest.mark.parametrize("layout", ["plain", "front", "clips"])
def test_rows_are_truncated_after_the_pooled_token(load, layout, pool):
    """A causal tower needs only the tokens up to the pooled one, at the positions of the full row."""
    tokenizer = load("xlm", tokenizer_mode="clips" if layout == "clips" else None)
    tokenizer.tokenizer.add_special_tokens({"cls_token": "X"})
    tokenizer.tokenizer.padding_side = "left" if layout == "front" else "right"
    texts = ["the cat", "a photo of a red fox in the sky"]
    full = tokenizer(texts)
    got = tokenize_fixed(PromptTokenizer("x", tokenizer, LENGTH, pool, 2), texts)
    assert torch.equal(got.pool_index, PromptTokenizer("x", None, LENGTH, pool, 2).pool_index(full))
    assert torch.equal(got.ids, full[:, : got.ids.shape[1]]) and got.ids.shape[1] > got.pool_index.max()


@pytest.mark.parametrize(
    "pool, eos, expected", [("argmax", 0, [2, 0]), ("eos", 7, [1, 0]), ("first", 0, [0, 0]), ("last", 0, [4, 4])]
)
def test_pooled_positions(pool, eos, expected):
    ids = torch.tensor([[3, 7, 9, 9, 0], [5, 4, 0, 0, 0]])
    assert PromptTokenizer("x", None, 5, pool, eos).pool_index(ids).tolist() == expected


@pytest.mark.parametrize("kind", ALL)
def test_unknown_and_equal_names(load, kind):
    encode = PromptTokenizer("x", load(kind, clean="canonicalize"), LENGTH)
    with pytest.warns(UserWarning, match=r"^backbone 'x' reads the class names 'cat' and 'Cat!' as the same$"):
        encode.check_names(["dog", "cat", "Cat!"])
    with pytest.warns(UserWarning, match=r"^backbone 'x' finds no tokens in the class name '!\?'$"):
        encode.check_names(["!?"])
    if encode.tokenizer.tokenizer.unk_token_id is not None and kind != "roberta":  # bytes are always known
        with pytest.warns(UserWarning, match=r"^backbone 'x' was not trained on .* in the class name '犬'$"):
            encode.check_names(["犬"])


@pytest.mark.parametrize(
    "kind, word, piece", [("t5", "cat", "▁cat"), ("roberta", "photo", "Ġphoto"), ("bert", "fox", "fox")]
)
def test_words_of_the_vocabulary(load, kind, word, piece):
    tokenizer = load(kind)
    encode, own = PromptTokenizer("x", tokenizer, LENGTH), tokenizer.tokenizer
    vocabulary = encode.vocabulary(len(own) + 3)
    assert len(vocabulary) == len(own) + 3 and vocabulary[-1] == ("", False)
    assert vocabulary[own.convert_tokens_to_ids(piece)] == (word, True)
    assert not any(usable for token, (_, usable) in enumerate(vocabulary) if token in own.all_special_ids)


def test_a_missing_padding_token_is_reported(load):
    tokenizer = load("t5")
    tokenizer.tokenizer.pad_token = None
    with pytest.raises(UserError, match="the tokenizer of backbone 'x' has no padding token"):
        rows(tokenizer)
