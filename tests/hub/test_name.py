"""Names of runs on the hub."""

from pathlib import Path

import pytest

from cliptune.errors import UserError
from cliptune.hub.name import HubName, is_hub_name, parse_name, parse_repository


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:alice/pets", HubName("alice/pets")),
        ("hf:alice/pets@v1.0", HubName("alice/pets", "v1.0")),
        ("hf:a-b/c.d_e@refs/pr/1", HubName("a-b/c.d_e", "refs/pr/1")),
    ],
)
def test_names(text, name):
    assert is_hub_name(text) and is_hub_name(Path(text))
    assert parse_name(text) == parse_name(Path(text)) == name and str(name) == text


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:pets", "hf:a/", "hf:../etc", "hf:a/b/c", "hf:a/b@", "hf:a/b@../x", "hf:a/b@v..2", "hf:a/b c"],
)
def test_other_forms_are_refused(text):
    with pytest.raises(UserError, match="use hf:USER/MODEL"):
        parse_name(text)


@pytest.mark.parametrize("path", ["runs/train", "hf", "/hf:a/b", "C:hf"])
def test_paths_are_no_names(path):
    assert not is_hub_name(path)


def test_repositories_to_write_to():
    assert parse_repository("hf:alice/pets") == parse_repository("alice/pets") == "alice/pets"
    with pytest.raises(UserError, match="alice/pets --revision v1"):
        parse_repository("alice/pets@v1")
    with pytest.raises(UserError, match="use USER/MODEL"):
        parse_repository("pets")
