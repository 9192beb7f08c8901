"""CLIP's byte-pair tokenizer with OpenAI's spelling of the special tokens, and Hugging Face's tokenizers."""

from __future__ import annotations

from typing import Any

import open_clip
import regex
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer

from cliptune.errors import UserError

#: open_clip's spelling of the special tokens -> OpenAI's. In a class name only the latter is one token, as it was in
#: published runs.
OPENAI_SPECIAL_TOKENS = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
#: Tokenizer options that a configuration must not set, as they run code from a repository.
UNSAFE_OPTIONS = ("trust_remote_code", "code_revision", "auto_map")


class ClipTokenizer(SimpleTokenizer):
    """open_clip's tokenizer that reads `<|startoftext|>` and `<|endoftext|>` as OpenAI's does."""

    def __init__(self, context_length: int, **options: Any):
        super().__init__(context_length=context_length, **options)
        self._spell_as_openai()

    @classmethod
    def like(cls, tokenizer: SimpleTokenizer) -> ClipTokenizer:
        """A copy of `tokenizer`, with its cleaning, reduction and further special tokens, in OpenAI's spelling."""
        own = cls.__new__(cls)
        copied = ("encoder", "decoder", "cache")
        own.__dict__.update({k: dict(v) if k in copied else v for k, v in vars(tokenizer).items()})
        own._spell_as_openai()
        return own

    def _spell_as_openai(self) -> None:
        pattern = self.pat.pattern
        for theirs, openai in OPENAI_SPECIAL_TOKENS.items():
            number = self.encoder.pop(theirs)
            self.encoder[openai], self.decoder[number] = number, openai
            self.cache[openai] = self.cache.pop(theirs).replace(theirs, openai)
            pattern = pattern.replace(theirs, regex.escape(openai), 1)
        self.pat = regex.compile(pattern, regex.IGNORECASE)


def load_tokenizer(name: str) -> SimpleTokenizer | HFTokenizer | SigLipTokenizer:
    """open_clip's tokenizer for the model `name` ("ViT-B-16", "hf-hub:ORG/REPO", "local-dir:PATH").

    Raises `UserError` if it is not available, or if its options would run code.
    """
    text = (open_clip.get_model_config(name) or {}).get("text_cfg", {})
    wanted = text.get("hf_tokenizer_name") or "its tokenizer"
    for option in UNSAFE_OPTIONS:
        if option in (text.get("tokenizer_kwargs") or {}):
            raise UserError(f"the configuration of {name} sets {option!r} of its tokenizer, which runs code; remove it")
    try:
        # Without this, transformers asks on the terminal whether to run code from the folder or repository.
        safe: Any = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
        tokenizer: Any = open_clip.get_tokenizer(name, **safe)
    except Exception as error:  # open_clip and transformers raise many classes
        reason = str(error).strip().splitlines()
        raise UserError(
            f"the tokenizer of {name} ({wanted}) can be neither loaded from this machine nor downloaded: "
            f"{(reason or [type(error).__name__])[0][:200]}"
        ) from None
    return ClipTokenizer.like(tokenizer) if type(tokenizer) is SimpleTokenizer else tokenizer
