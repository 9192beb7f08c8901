"""A set of results in words: what was compared, how it was got, what its columns mean, what to keep in mind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliptune.results.labels import get_setting, method_order, num_shots
from cliptune.types import Result

#: What tells backbones apart in a record: their weights, and, in newer ones, these with what else computes.
BACKBONE_KEYS = ("backbone_fingerprint", "backbone_settings")


def summary_sentence(results: Sequence[Result]) -> str:
    """What was compared and how it was made, in one sentence."""
    methods, seeds = method_order(results), sorted({r.seed for r in results})
    named = join_words(methods) if len(methods) <= 4 else f"{len(methods)} methods"
    over = (
        f"averaged over seeds {join_words(map(str, seeds))}"
        if len(seeds) > 1
        else f"from one seed ({join_words(map(str, seeds))})"
    )
    tested, made = describe_test_images(results), describe_versions(results)
    few, data = describe_training_data(results), join_words(sorted({r.data for r in results}))
    words = f"Accuracy of {named}{few and f' with {few}'} on {data}, "
    words += (f"tested on {tested}, " if tested else "") + over
    return f"{words}; made with {made}." if made else f"{words}."


def describe_training_data(results: Sequence[Result]) -> str:
    """What runs were trained on: "16 training images a class", "10 % of the training images"; "" if none says."""
    shots = sorted({s for s in map(num_shots, results) if s is not None})
    if not shots:
        return ""
    if shots != [0]:
        words = [*map(str, filter(None, shots)), *(["all"] if 0 in shots else [])]
        return f"{join_words(words)} training image{'' if shots == [1] else 's'} a class"
    shares = sorted({1.0 if (share := get_setting(r, "fraction")) is None else share for r in results})
    if shares == [1]:
        return "all training images"
    return f"{join_words(f'{100 * share:g}' for share in shares)} % of the training images"


def provenance_facts(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Term and value of what the records say about their making; what they do not say is left out."""
    prints: dict[str, dict[int, None]] = defaultdict(dict)
    for result in sorted(results, key=lambda r: (r.data, r.seed)):
        if "data_fingerprint" in result.provenance:
            prints[str(result.provenance["data_fingerprint"])][result.seed] = None
    backbones = _distinct(
        results, lambda p: " ".join(str(p[k]) for k in ("backbone", "backbone_fingerprint") if k in p)
    )
    found = {
        "Methods": join_words(method_order(results)),
        "Backbone": join_words(backbones),
        "Data fingerprint": "; ".join(
            f"{print_} (seed {join_words(map(str, seeds))})" for print_, seeds in prints.items()
        ),
        "Software": "; ".join(_distinct(results, lambda p: _format_items(_get_mapping(p, "versions")))),
        "Device": join_words(_distinct(results, lambda p: str(p.get("device", "")))),
    }
    return [(term, value) for term, value in found.items() if value]


def cautions(results: Sequence[Result]) -> list[str]:
    """What the records say against taking the numbers at their word."""
    notes = []
    prints: dict[tuple[str, int | None, int], set[str]] = defaultdict(set)
    for result in results:
        if "data_fingerprint" in result.provenance:
            prints[result.data, num_shots(result), result.seed].add(str(result.provenance["data_fingerprint"]))
    if any(len(found) > 1 for found in prints.values()):
        notes.append(
            "Careful: for the same data, shots and seed, not all methods were trained and tested on the same images."
        )
    if any(len({r.provenance[key] for r in results if key in r.provenance}) > 1 for key in BACKBONE_KEYS):
        notes.append("Careful: the methods stand on different backbones.")
    if len(_distinct(results, lambda p: _format_items(_get_mapping(p, "versions")))) > 1:
        notes.append("Careful: the runs were made with different versions of the software.")
    counts = [n for r in results for name, n in _get_mapping(r.provenance, "test_images").items() if "/" not in name]
    if counts:
        least = min(counts)
        error = 50 / math.sqrt(least)
        notes.append(
            f"On {least:,} test images, the fewest of a test set, chance alone moves an accuracy by up to {error:.1f} "
            "points (one standard error); methods tested on the same images share part of it."
        )
    return notes


def describe_test_images(results: Sequence[Result]) -> str:
    """Size of each whole test set, "960 base and 960 novel images"; empty if not said or not the same for all."""
    said = {_format_items(_get_mapping(r.provenance, "test_images"), "{1:,} {0}", "/") for r in results}
    return f"{join_words(said.pop().split(', '))} images" if len(said) == 1 and "" not in said else ""


def describe_versions(results: Sequence[Result]) -> str:
    """The library's version, or versions, and of what it stands on."""
    keep = ("cliptune", "torch")

    def said(provenance: Mapping[str, Any]) -> str:
        found = _get_mapping(provenance, "versions")
        return join_words(f"{name} {found[name]}" for name in keep if name in found)

    return ", or ".join(_distinct(results, said))


def join_words(words: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = list(words) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _format_items(values: Mapping[str, Any], form: str = "{0} {1}", without: str = "\0") -> str:
    return ", ".join(form.format(k, v) for k, v in sorted(values.items()) if without not in k)


def _get_mapping(provenance: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A named part of the provenance; empty if it is not there, as the page must do without it."""
    found = provenance.get(key)
    return found if isinstance(found, Mapping) else {}


def _distinct(results: Sequence[Result], say: Any) -> list[str]:
    return sorted({text for r in results if (text := say(r.provenance))})
