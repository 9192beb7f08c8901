"""The manual documents every public name and every method, and has no broken link."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import yaml

import cliptune as ct
from cliptune import coresets, masks, methods, protocols
from cliptune.data import sources

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
BLOCK = re.compile(r"^::: (\S+)\n(?:    options:\s*(?:(\{.*\})\n|((?:\n?      .+\n)+)))?", re.MULTILINE)


def blocks(page):
    """Map each documented object to the options of its block."""
    found = {}
    for path, flow, nested in BLOCK.findall(PAGES[page]):
        found[path] = yaml.safe_load(flow or nested) or {} if flow or nested else {}
    return found


def api_hook():
    """The module that writes the API reference."""
    spec = importlib.util.spec_from_file_location("api_hook", ROOT / "tools" / "docs" / "api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(path):
    """The object with the dotted name `package.module.Class.attribute`."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"nothing is called {path}")


@pytest.mark.parametrize("page", [page for page in PAGES if "::: " in PAGES[page]])
def test_documented_objects_exist_and_have_docstrings(page):
    documented = blocks(page)
    assert len(documented) == PAGES[page].count("\n::: "), "a block could not be read"
    for path, options in documented.items():
        assert inspect.getdoc(named(path)), f"{path} has no docstring"
        for member in options.get("members") or ():
            assert inspect.getdoc(getattr(named(path), member)), f"{path}.{member} has no docstring"


@pytest.mark.parametrize("name", ct.__all__)
def test_every_public_name_is_documented(name):
    documented = {id(named(path)): options for path, options in blocks("python.md").items()}
    value = getattr(ct, name)
    assert id(value) in documented, f"docs/python.md does not mention {name}"
    assert documented[id(value)].get("heading", value.__name__) == name


def test_every_member_of_a_tuned_model_is_documented():
    public = {name for name in vars(ct.Tuned) if not name.startswith("_")}
    assert public <= set(blocks("python.md")["cliptune.tuned.Tuned"]["members"])


@pytest.mark.parametrize("name", methods.names())
def test_every_method_is_documented_under_its_name(name):
    documented = {named(path): options for path, options in blocks("methods.md").items()}
    kind = methods.get(name)
    assert documented[kind]["heading"] == documented[kind]["toc_label"] == name


def test_methods_with_their_own_image_features_are_listed():
    table = PAGES["python.md"].partition("### Features")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+` ?)+)\|", table, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row) if name in methods.names()]
    assert sorted(listed) == [name for name in methods.names() if name not in methods.wrapper_names()]


@pytest.mark.parametrize("page", PAGES)
def test_links_are_not_broken(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        place = DOCS / (file or page)
        assert place.exists(), f"{page} links to {target}"
        if anchor.startswith("cliptune."):
            assert anchor in blocks(place.name), f"{page} links to {target}"
        elif anchor:
            heads = re.findall(r"^#+ (.*)$", PAGES[place.name], re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page} links to {target}"


def test_every_page_is_in_the_manual():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    sections = [pages for entry in nav for pages in entry.values()]
    assert sorted(page for pages in sections for entry in pages for page in entry.values()) == sorted(PAGES)


def test_every_entry_and_public_name_is_in_the_reference():
    hook = api_hook()
    sections = hook.sections()
    assert [*sections["Python"]] == ct.__all__
    assert sorted([*sections["Methods"], *sections["Wrappers"]]) == methods.names()
    assert [*sections["Mask sources"]] == [*masks.SOURCES] and [*sections["Datasets"]] == sources.names()
    assert [*sections["Protocols"]] == protocols.names() and [*sections["Coreset methods"]] == coresets.names()
    elsewhere = hook.documented_elsewhere()
    text = hook.reference(elsewhere)
    for entries in sections.values():
        for name, entry in entries.items():
            path = f"{entry.__module__}.{entry.__qualname__}"
            assert named(path) is entry and inspect.getdoc(entry), f"{path} has no docstring"
            assert (f"[`{name}`][{path}]" in text) == (path in elsewhere)
            assert (f'::: {path}\n    options: {{heading: "{name}"' in text) != (path in elsewhere)
