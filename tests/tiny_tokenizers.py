"""Small tokenizers of the kinds that open_clip uses from Hugging Face, trained on a few sentences."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "a photo of a cat .",
    "a photo of a red fox .",
    "a clean origami bridge ; itap of my dog",
    "the airliner , a bad photo of the large tabby cat in the sky",
    "X St. Bernard road water horse pig",
]
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!&"
#: Special tokens in the order of their ids, and the pattern of a sentence ($A). `pad` is the name of the padding token.
FRAMES = {
    "siglip": (["<unk>", "</s>"], "$A </s>", "</s>"),  # pads with its end-of-sequence token
    "gemma": (["<pad>", "<eos>", "<bos>", "<unk>"], "$A <eos>", "<pad>"),
    "t5": (["<pad>", "</s>", "<unk>"], "$A </s>", "<pad>"),
    "xlm": (["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<pad>"),
    "roberta": (["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<pad>"),
    "nllb": (["<s>", "<pad>", "</s>", "<unk>", "eng_Latn"], "eng_Latn $A </s>", "<pad>"),
    "bert": (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "[CLS] $A [SEP]", "[PAD]"),
}
ROLES = {"<s>": "bos_token", "<bos>": "bos_token", "</s>": "eos_token", "<eos>": "eos_token", "<unk>": "unk_token"}
ROLES |= {"[UNK]": "unk_token", "[CLS]": "cls_token", "[SEP]": "sep_token", "[MASK]": "mask_token"}


@cache
def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind of `FRAMES`: Unigram (siglip, t5, xlm, nllb), BPE of words with "▁" (gemma), BPE of bytes
    with "Ġ" (roberta), WordPiece in lower case (bert). Tests must not change it."""
    special, pattern, pad = FRAMES[kind]
    unknown = next(token for token in special if "unk" in token.lower())
    if kind == "roberta":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    elif kind == "bert":
        made = Tokenizer(models.WordPiece(unk_token=unknown))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    elif kind == "gemma":
        made = Tokenizer(models.BPE(unk_token=unknown))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    else:
        words = sorted({f"▁{word}" for text in TEXTS for word in text.split()})
        pieces = [*words, *(letter for letter in sorted(set("".join(words) + CHARACTERS)) if letter not in words)]
        scored = [(token, 0.0) for token in special] + [(piece, -3.0 if piece in words else -9.0) for piece in pieces]
        made = Tokenizer(models.Unigram(scored, unk_id=special.index(unknown)))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = None
    if trainer is not None:
        made.train_from_iterator(TEXTS * 3, trainer)
    around = [(token, made.token_to_id(token)) for token in pattern.split() if token != "$A"]
    made.post_processor = processors.TemplateProcessing(single=pattern, special_tokens=around)
    roles = {ROLES[token]: token for token in special if token in ROLES}
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token=pad, **roles)


def save(kind: str, folder: Path) -> None:
    tokenizer(kind).save_pretrained(folder)
