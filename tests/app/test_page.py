"""`cliptune app` in headless Chromium: images, other classes, saliency, a file that is no image, a correction."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import browser
import cliptune
from cliptune.app.corrections import Corrections
from http_forms import form, request

ANSWERS = "(document.querySelector('#answers')?.innerText ?? '')"
STATUS = "(document.querySelector('#status')?.innerText ?? '')"
SECONDS = 120


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return tmp_path_factory.mktemp("corrected") / "corrections"


@pytest.fixture(scope="module")
def url(runs, corrected, tmp_path_factory):
    """The command in another process, which must end cleanly and delete its uploads."""
    for name in ("gradio", "fastapi", "uvicorn"):
        pytest.importorskip(name)
    if browser.found() is None or os.name != "posix":
        pytest.skip("no Chromium; name one with CHROMIUM")
    temporary = tmp_path_factory.mktemp("uploads")
    env = {**os.environ, "PYTHONPATH": str(Path(cliptune.__file__).parents[1]), "TMPDIR": str(temporary)}
    options = ["--port", "0", "--max-file-mib", "1", "--corrections", str(corrected)]
    command = [sys.executable, "-m", "cliptune", "app", *(str(run.path) for _, run in runs), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            found = process.stdout.readline().strip()
            assert found.startswith("http://127.0.0.1:"), process.communicate()
            yield found
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0 and err.endswith("stopped\n") and "Traceback" not in err, err
    assert not list(temporary.glob("cliptune-app-*"))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page(url, width, corrected, photos, tmp_path):
    (tmp_path / "bad.png").write_text("text")
    with browser.Page(url, width, 900, tmp_path / "profile") as page:
        page.wait("!!document.querySelector('#images input[type=file]')", SECONDS)
        page.choose("#images input[type=file]", photos / "cat" / "0.png", tmp_path / "bad.png")
        text = page.wait(f"{ANSWERS}.includes('%') && {ANSWERS}", SECONDS)
        assert "bad.png cannot be read" in text and text.count("%") == 6 and "horse" in text
        assert not page.run("document.documentElement.scrollWidth > innerWidth")
        picture = page.run("document.querySelector('#answers img').src")
        page.click("#view label:nth-child(2) input")
        page.wait(f"{ANSWERS}.includes('Grad-CAM')", SECONDS)
        assert page.run("document.querySelector('#answers img').src") != picture
        page.run("document.querySelector('#classes textarea').focus()")
        page("Input.insertText", text="dog, <b>ship</b>")
        page.click("#predict")
        text = page.wait(f"{ANSWERS}.includes('<b>ship</b>') && {ANSWERS}", SECONDS)
        assert "horse" not in text and "parameters per class" in text
        page.click("#corrections button")
        page.wait("!!document.querySelector('#label input')", SECONDS)
        page.run("document.querySelector('#label input').focus()")
        page("Input.insertText", text=f"lynx {width}")
        for kind in ("keyDown", "keyUp"):
            page("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)
        page.click("#save")
        page.wait(f"{STATUS}.includes('lynx {width}')", SECONDS)
        assert list(Corrections(corrected).rows().values()) == [f"lynx {width}"]
        hosts = {urlsplit(asked).netloc for asked in page.requests if asked.startswith("http")}
        assert hosts == {urlsplit(url).netloc}


def test_a_file_that_is_too_large_is_not_stored(url):
    body, kind = form([("large.png", bytes(2 << 20))])
    body = body.replace(b'name="images"', b'name="files"')
    assert request(f"{url}/gradio_api/upload", "POST", body, {"Content-Type": kind})[0] == 413
