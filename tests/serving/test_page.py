"""The server's page in headless Chromium, without a request to another host; the examples of docs/serve.md."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import browser
from http_forms import request

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
SHOWN = "document.querySelector('#answer').innerText"


@pytest.fixture(params=[1280, 390])
def page(served, tmp_path, request):
    if browser.found() is None:
        pytest.skip("no Chromium; name one with CHROMIUM")
    with browser.Page(f"{served}/", request.param, 900, tmp_path / "profile") as opened:
        yield opened


def test_images_are_classified_on_the_page(page, served, photos, tmp_path):
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.run(wide)
    page.choose("input[type=file]", photos / "cat" / "0.png", photos / "pig" / "0.png")
    page.click("#try button")
    text = page.wait(f"document.querySelectorAll('.answer').length == 2 && {SHOWN}")
    assert text.count("%") == 6 and "horse" in text and not page.run(wide)
    page.run("document.querySelector('[name=classes]').value = 'dog, <b>ship</b>'")
    page.click("#try button")
    assert "<b>ship</b>" in page.wait(f"!{SHOWN}.includes('horse') && {SHOWN}.includes('%') && {SHOWN}")
    (tmp_path / "bad.png").write_text("text")
    page.choose("input[type=file]", tmp_path / "bad.png")
    page.click("#try button")
    assert page.wait(f"{SHOWN}.includes('bad.png cannot be read') && {SHOWN}")
    host = urlsplit(served).netloc
    assert {urlsplit(url).netloc for url in page.requests if url.startswith("http")} == {host}
    assert not [p for p in page.problems if "status of 422" not in p]


def test_the_page_names_all_routes(served):
    status, html = request(f"{served}/docs", "GET")
    assert status == 200 and "http://" not in html and "https://" not in html
    for route in ("/predict", "/image-features", "/text-features", "/model", "/health"):
        assert f"<code>{route}</code>" in html


def test_the_example_of_the_manual(served, photos, tmp_path, monkeypatch, capsys):
    pytest.importorskip("requests")
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block.replace("http://127.0.0.1:8000", served), "serve.md", "exec"), {})
    assert sorted(line.split()[0] for line in capsys.readouterr().out.splitlines()) == ["0.png", "0.png"]


def test_the_manual_names_the_flags_of_limits():
    from cliptune.commands.flags import flag_names
    from cliptune.commands.serve import Serve
    from cliptune.serving.limits import RequestLimits

    limits = {name.replace("_", "-") for name in RequestLimits.__dataclass_fields__}
    rows = dict(re.findall(r"^\| `--([\w-]+)`[^|]*\| ([\d]+) \|", PAGE, re.MULTILINE))
    assert rows == {name: f"{getattr(RequestLimits, name.replace('-', '_')):g}" for name in limits}
    commands = [shlex.split(line) for line in re.findall(r"^cliptune serve .*$", PAGE, re.MULTILINE)]
    assert commands == [["cliptune", "serve", "my-model"]]
    assert {f"--{name}" for name in (*limits, "host", "port", "max-batch")} <= set(flag_names(Serve))
