"""The report in a real browser: sorting, layout, no console messages, no network requests."""

import re

import pytest

from browser import Page, found
from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.analysis.reliance import Reliance
from cliptune.report import html_page
from cliptune.report.confusion import ConfusionCounts
from cliptune.report.reliance_records import RelianceRecord
from cliptune.report.report_data import FeatureShift, PromptWords, ReportData

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium here: apt-get install chromium, or set CHROMIUM")

FIRST = "document.querySelectorAll('table[data-sortable]')[0]"


@pytest.fixture(scope="module")
def findings(panel):
    """All data of a report besides the records."""
    methods = ("zeroshot", "maple", "maple+dapt")
    counts = {m: [[9 - i, i, 0], [i, 8 - i, 1], [2, 3, 4]] for i, m in enumerate(methods)}
    accuracy = {name: 50.0 for name in CONDITIONS}
    change = {name: 5 for name in CONDITIONS}
    seen = Reliance(100, accuracy, change, change, 3.0, 20.0, 30.0, 40.0)
    word = (("photo", 0.5), ("picture", 0.75))
    return ReportData(
        panels=[panel(*methods)] * 2,
        classes=[ConfusionCounts("base", ("cat", "christmas tree", "dog"), "zeroshot", counts)],
        words=[PromptWords("maple", (word,) * 4, (word,) * 4)],
        shifts=[FeatureShift("maple", (0.1, 0.2), (0.1, 0.4))],
        reliance={"maple": [RelianceRecord("emoji", "base", "data", 1, "predicted", "0" * 12, seen)]},
        task="emoji, seed 1",
    )


@pytest.fixture(scope="module")
def written(study, findings, record, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    few = [record(method, shots=k, base=40.0 + k, novel=50.0) for method in ("maple", "maple+dapt") for k in (1, 4)]
    path.write_text(html_page.render_page([*study, *few], findings, title="A study"), encoding="utf-8")
    return path


@pytest.fixture(params=[(1280, 900, False), (390, 844, True)], ids=["desktop", "dark phone"])
def page(written, tmp_path, request):
    width, height, dark = request.param
    with Page(written, width, height, tmp_path / "profile", dark) as opened:
        yield opened


def test_a_table_sorts_without_errors(page):
    def column():
        return page.run(f"[...{FIRST}.tBodies[0].rows].map(row => row.cells[2].dataset.value)")

    assert len(page.run("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.alt)")) == 0
    before = column()
    head = "table[data-sortable] thead th:nth-child(3) button"
    page.click(head)
    falling = column()
    assert falling == sorted(before, key=float, reverse=True) != before
    assert page.run(f"{FIRST}.tHead.rows[0].cells[2].getAttribute('aria-sort')") == "descending"
    page.click(head)
    assert column() == falling[::-1] or [float(v) for v in column()] == sorted(map(float, before))
    page.click(head)
    assert column() == before, "the third click is as it was"
    page.click("details > summary")
    assert page.run("document.querySelector('details').open") is True
    assert page.problems == []
    assert all(re.match("file:|data:image/", url) for url in page.requests), page.requests


def test_the_page_fits_the_screen_and_is_readable(page):
    wide, screen = page.run("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen, "the page scrolls sideways"
    sizes = page.run(
        "[...document.querySelectorAll('p, li, td, th, dd, dt, caption, figcaption, summary, .label, .origin')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    outside = page.run(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && !e.closest('.hidden')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


def test_scrollable_tables_have_a_shadow_until_their_end(page):
    wide = page.run(
        "[...document.querySelectorAll('.wide')].map(w => w.querySelector('.scroll'))"
        ".map(s => [s.scrollWidth - s.clientWidth > 1, s.parentElement.classList.contains('overflowing')])"
    )
    assert wide and all(scrolls == marked for scrolls, marked in wide)
    phone = page.run("innerWidth") < 600
    assert any(scrolls for scrolls, _ in wide) == phone
    first = "document.querySelector('.wide.overflowing')"
    shade = f"getComputedStyle({first}, '::after').visibility"
    if phone:
        assert page.run(f"getComputedStyle({first}.querySelector('.more')).display") == "block"
        assert page.run(shade) == "visible"
        page.run(f"{first}.querySelector('.scroll').scrollLeft = 1e6")
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.run(shade) == "hidden"


def test_no_panel_is_half_empty(page):
    shares = page.run(
        "[...document.querySelectorAll('.plot')].filter(p => p.getBoundingClientRect().width)"
        ".map(p => p.querySelector('svg').getBoundingClientRect().width / p.getBoundingClientRect().width)"
    )
    assert shares and min(shares) > 0.8


def test_text_has_enough_contrast(page):
    contrast = page.run(
        """(() => {
        const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const rgb = text => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data]; };
        const light = c => { const [r, g, b] = c.map(v => { v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
            if (c[3] > 200) return c.slice(0, 3); } return [255, 255, 255]; };
        return [...document.querySelectorAll('p, li, td, th, dd, dt, caption span, figcaption, .std, .origin, .label')]
            .filter(e => e.textContent.trim()).map(e => { const a = light(rgb(getComputedStyle(e).color).slice(0, 3)),
            b = light(ground(e));
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 90)]; })
            .filter(([ratio]) => ratio < 4.5);
        })()"""
    )
    assert contrast == []
