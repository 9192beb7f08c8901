"""The report is self-contained, shows everything once, and omits sections without data."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cliptune.report import html_page
from cliptune.report.confusion import ConfusionCounts
from cliptune.report.report_data import EMPTY_GRADCAM, ReportData

VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A parsed page; raises if a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.strings = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.strings.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.strings).split())


@pytest.fixture(scope="module")
def whole(study, panel):
    return html_page.render_page(
        study, ReportData([panel("zeroshot", "maple", "maple+dapt")]), title="A study", notes=["A toy."]
    )


def headings(text):
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", text)


def test_the_page_is_well_formed_and_self_contained(whole):
    page = Page(whole)
    assert "http://" not in whole and "https://" not in whole
    addresses = [a[k] for _, a in page.tags for k in ("src", "srcset", "href") if k in a]
    addresses += [a["xlink:href"] for _, a in page.tags if "xlink:href" in a] + re.findall(r"url\(([^)]*)", whole)
    assert addresses and all(a.startswith(("data:image/", "#")) for a in addresses)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(set(ids)) == len(ids) and {a[1:] for a in addresses if a[0] == "#"} <= set(ids)
    assert not page.all("link")
    assert any("default-src 'none'" in a.get("content", "") for a in page.all("meta"))


def test_the_page_explains_its_content(whole):
    page = Page(whole)
    assert headings(whole) == [
        *("Which method to use", "Accuracy", "Cost", "Reliance on the background", "Example images", "Training"),
        *("Notes", "Provenance"),
    ]
    for words in (
        "A study",
        "A toy.",
        "zeroshot",
        "maple+dapt",
        "ddof = 1",
        "harmonic mean",
        "has 400 images",
        "emoji161",
    ):
        assert words in page.text
    assert "51.7 ± 0.3" in page.text
    assert re.search(r"✓ right: cat 25 %", page.text) and re.search(r"✗ wrong: dog 25 %", page.text)


def test_the_page_is_accessible(whole):
    page = Page(whole)
    assert all(a.get("alt") for a in page.all("img"))
    assert all(a.get("aria-label") for _, a in page.tags if a.get("role") == "img")
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    labels = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert set(labels) <= set(ids)


def test_rows_are_sorted_by_unrounded_values(whole):
    values = re.findall(r'<td data-value="([\d.]+)" class="number">51\.7', whole)
    assert values and float(values[0]) == pytest.approx(51 + 2 / 3, abs=1e-12)


def test_the_same_records_give_the_same_page(study, panel, whole):
    panels = [panel("zeroshot", "maple", "maple+dapt")]
    assert html_page.render_page(study[::-1], ReportData(panels), title="A study", notes=["A toy."]) == whole


def test_without_panels_history_or_backgrounds_sections_are_absent(record):
    text = html_page.render_page([record(base=50.0, novel=40.0)], title="One run")
    Page(text)
    assert headings(text) == ["Accuracy", "Cost", "Notes", "Provenance"]
    assert "Grad-CAM" not in text and "swapped" not in text


def test_backgrounds_without_the_original_are_compared_too(record):
    text = html_page.render_page([record(test__same=50.0, test__swap=40.0)], title="t")
    assert "Reliance on the background" in headings(text)
    assert "10.0" in Page(text).text


def test_datasets_and_shots_are_shown_separately(record):
    results = [record(data=d, shots=s, epochs=2, base=1.0) for d, s in (("pets", 4), ("cars", 4), ("cars", 0))]
    text = html_page.render_page(results, title="t")
    apart = [h for h in re.findall(r"<h3>([^<]*)</h3>", text) if not h.startswith("What")]
    assert apart == ["cars, all shots", "cars, 4 shots", "pets, 4 shots"]
    assert "highest value of each column and dataset" in Page(text).text


def test_names_cannot_break_the_page(record, panel):
    bad = "<script>alert('x')</script>\"&"
    text = html_page.render_page([record(bad, data=bad, base=1.0)], ReportData([panel(bad)]), title=bad, notes=[bad])
    Page(text)
    assert text.count("<script>") == 1
    assert bad in Page(text).text


def test_missing_predictions_and_maps_give_the_reason(record, panel):
    panels = [panel("coop", "other", mask=False), panel("coop", saliency=False)]
    text = html_page.render_page([record("coop", base=1.0)], ReportData(panels), title="t")
    page = Page(text)
    assert text.count("data:image/jpeg") == 2 + 2
    assert not re.search(r"<td>\s*</td>", text)
    assert "no Grad-CAM: the image tower is not a ViT ✓ right:" in page.text
    assert "no prediction: no checkpoint, or it does not support these classes" in page.text
    assert page.text.count(", no mask") == 1


def test_a_zero_map_is_reported(record, panel):
    (answer,) = panel("coop", saliency=False).answers
    seen = replace(panel("coop"), answers=(replace(answer, why=EMPTY_GRADCAM),))
    page = html_page.render_page([record("coop", base=1.0)], ReportData([seen]), title="t")
    text, (_, height, width) = Page(page).text, seen.image.shape
    assert "Grad-CAM is zero everywhere ✓ right: cat" in text and "no ViT" not in text
    assert f'class="absent" style="aspect-ratio: {width} / {height}"' in page


def test_classes_come_with_their_images_and_intervals(record):
    counts = {"zeroshot": [[8, 2, 0], [0, 20, 0], [0, 0, 0]], "maple": [[10, 0, 0], [5, 15, 0], [0, 0, 0]]}
    one = ConfusionCounts("base", ("cat", "dog", "emu"), "zeroshot", counts)
    text = Page(html_page.render_page([record("maple", base=1.0)], ReportData(classes=[one]), title="t")).text
    assert "base: accuracy on the 2 of 3 classes that change most, in percent, with the 95 % interval (Wilson)" in text
    assert "class images zeroshot maple cat" in text
    assert "cat 10 80 (49–94) 100 (72–100)" in text
    assert "dog 20 100 (84–100) 75 (53–89)" in text
    assert "class → prediction images zeroshot maple dog → cat 20 0 (0–16) 25 (11–47)" in text


def test_many_methods(record):
    results = [record(f"method{i}", s, base=50.0 + i + s, novel=40.0 - i) for i in range(12) for s in (1, 2)]
    page = Page(html_page.render_page(results, title="t"))
    assert all(f"method{i} " in page.text for i in range(12))
    assert "Accuracy of 12 methods" in page.text
