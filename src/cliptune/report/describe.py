"""Describe a set of results in words: what was compared, provenance, and cautions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliptune.results.labels import get_setting, method_order, num_shots, uses_pool
from cliptune.types import Result

#: Fields of a record that identify the backbone: its weights and, in newer records, its other settings.
BACKBONE_KEYS = ("backbone_fingerprint", "backbone_settings")


def summary_sentence(results: Sequence[Result]) -> str:
    """One sentence on what was compared, on which data, with which software."""
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
    """Describe the training data: "16 training images per class", "10 % of the training images"; "" if unknown."""
    pooled = [r for r in results if uses_pool(r)]
    if pooled:
        rest = describe_training_data([r for r in results if not uses_pool(r)])
        pool = "all training images without labels"
        return f"{rest} ({pool} for {join_words(method_order(pooled))})" if rest else pool
    shots = sorted({s for s in map(num_shots, results) if s is not None})
    if not shots:
        return ""
    if shots != [0]:
        words = [*map(str, filter(None, shots)), *(["all"] if 0 in shots else [])]
        return f"{join_words(words)} training image{'' if shots == [1] else 's'} per class"
    shares = sorted({1.0 if (share := get_setting(r, "fraction")) is None else share for r in results})
    if shares == [1]:
        return "all training images"
    return f"{join_words(f'{100 * share:g}' for share in shares)} % of the training images"


def provenance_facts(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Terms and values on provenance from the records; unknown ones are omitted."""
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
    """Reasons in the records to be careful with the numbers."""
    notes = []
    prints: dict[tuple[str, int | None, int], set[str]] = defaultdict(set)
    for result in results:
        if "data_fingerprint" in result.provenance:
            prints[result.data, num_shots(result), result.seed].add(str(result.provenance["data_fingerprint"]))
    if any(len(found) > 1 for found in prints.values()):
        notes.append(
            "Careful: with the same data, shots and seed, some methods were trained or tested on other images."
        )
    if any(len({r.provenance[key] for r in results if key in r.provenance}) > 1 for key in BACKBONE_KEYS):
        notes.append("Careful: the methods use different backbones.")
    if len(_distinct(results, lambda p: _format_items(_get_mapping(p, "versions")))) > 1:
        notes.append("Careful: the runs used different software versions.")
    counts = [n for r in results for name, n in _get_mapping(r.provenance, "test_images").items() if "/" not in name]
    if counts:
        least = min(counts)
        error = 50 / math.sqrt(least)
        notes.append(
            f"The smallest test set has {least:,} images, so one standard error of an accuracy is at most {error:.1f} "
            "points. Methods tested on the same images share part of this error."
        )
    return notes


def describe_test_images(results: Sequence[Result]) -> str:
    """Size of each whole test set, "960 base and 960 novel images"; empty if unknown or different between runs."""
    sizes = {_format_items(_get_mapping(r.provenance, "test_images"), "{1:,} {0}", "/") for r in results}
    return f"{join_words(sizes.pop().split(', '))} images" if len(sizes) == 1 and "" not in sizes else ""


def describe_versions(results: Sequence[Result]) -> str:
    """Versions of cliptune and torch."""
    keep = ("cliptune", "torch")

    def versions(provenance: Mapping[str, Any]) -> str:
        found = _get_mapping(provenance, "versions")
        return join_words(f"{name} {found[name]}" for name in keep if name in found)

    return ", or ".join(_distinct(results, versions))


def join_words(words: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = list(words) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _format_items(values: Mapping[str, Any], form: str = "{0} {1}", without: str = "\0") -> str:
    return ", ".join(form.format(k, v) for k, v in sorted(values.items()) if without not in k)


def _get_mapping(provenance: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A mapping in the provenance, or an empty one if it is missing."""
    found = provenance.get(key)
    return found if isinstance(found, Mapping) else {}


def _distinct(results: Sequence[Result], describe: Any) -> list[str]:
    return sorted({text for r in results if (text := describe(r.provenance))})
