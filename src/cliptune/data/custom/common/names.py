"""Class names for prompts, from folder names and labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import regex

from cliptune.data.public.common import wnids
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

#: Prefixes of class names in datasets: a WordNet ID (n01440764_tench), a number and a dot (001.Albatross).
ID_PREFIX = regex.compile(r"^(?:n\d{8}[\s_.-]+|\d+\.\s*)(?=\p{L})")
#: A name without words: a number, or a WordNet ID.
ID_ONLY = regex.compile(r"n?\d+")


def readable_name(name: str) -> str:
    """A name without its ID prefix, split into words at spaces and underscores; without those, at hyphens; without
    those too, at CamelCase boundaries.

    Only one convention is applied per name, so that "McLaren MP4-12C" and "american_t-shirt" keep their hyphens.
    Hyphens next to single letters and digits are kept (t-shirt, F-16), and so is a capital after a single lower-case
    letter (iPhone).
    """
    words = ID_PREFIX.sub("", unicodedata.normalize("NFC", name).strip(" _-"))
    if regex.search(r"[\s_]", words):
        words = words.replace("_", " ")
    elif "-" in words:
        words = regex.sub(r"(?<=\p{L}{2})-+(?=\p{L}{2})", " ", words)
    else:
        words = regex.sub(r"(?<=\p{L}\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll}{2})", " ", words)
    return " ".join(words.split()) or name


def prompt_classnames(
    names: Sequence[str], where: str, raw: bool = False, hint: str = "words would help"
) -> tuple[str, ...]:
    """Class names for prompts: made readable unless `raw`, with warnings about lost prefixes and names without words.

    WordNet IDs of ImageNet's classes become ImageNet's class names.

    Raises:
        UserError: If two names are equal in lower case, as the tokenizer reads them.
    """
    words_of = {} if raw else wnids.names_of_wnids(names)
    read = tuple(names if raw else (words_of.get(name) or readable_name(name) for name in names))
    first: dict[str, str] = {}
    for name, words in zip(names, read, strict=True):
        key = words.lower()
        if key in first:
            how = " or keep names as they are (--raw-names)" if first[key].lower() != name.lower() and not raw else ""
            raise UserError(f"two classes of {where}, {first[key]!r} and {name!r}, read as {key!r}; rename one{how}")
        first[key] = name
    if words_of:
        (wnid, words), more = next(iter(words_of.items())), f" (and {len(words_of) - 1} more)" * (len(words_of) > 1)
        warn_user(
            f"class {wnid!r} of {where} is read as ImageNet's {words!r}{more}; --raw-names keeps names as they are"
        )
    marked = [(name, words) for name, words in zip(names, read, strict=True) if not raw and ID_PREFIX.match(name)]
    if marked:
        (name, words), more = marked[0], f" (and {len(marked) - 1} more likewise)" * (len(marked) > 1)
        warn_user(f"class {name!r} is read as {words!r}{more}; --raw-names keeps names as they are")
    bare = [words for words in read if ID_ONLY.fullmatch(words)]
    if bare:
        warn_user(f"class names such as {bare[0]!r} in {where} are not words that a text encoder understands; {hint}")
    return read
