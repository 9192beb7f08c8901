"""CLIP's byte-pair tokenizer, with OpenAI's spelling of its two special tokens."""

from __future__ import annotations

import open_clip
import regex

#: open_clip renamed the specials; in a class name only OpenAI's own spelling may stand for them, as in published runs.
SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}


class ClipTokenizer(open_clip.SimpleTokenizer):
    """open_clip's tokenizer that reads `<|startoftext|>` and `<|endoftext|>` as OpenAI's does."""

    def __init__(self, context_length: int):
        super().__init__(context_length=context_length)
        for theirs, openai in SPECIAL.items():
            number = self.encoder.pop(theirs)
            self.encoder[openai], self.decoder[number] = number, openai
            self.cache[openai] = self.cache.pop(theirs).replace(theirs, openai)
        words = self.pat.pattern.removeprefix("|".join(SPECIAL))
        self.pat = regex.compile("|".join(map(regex.escape, SPECIAL.values())) + words, regex.IGNORECASE)
