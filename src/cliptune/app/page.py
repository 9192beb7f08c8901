"""The page, made with Gradio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cliptune.app.comparison import Card, Comparison, View, parse_classes
from cliptune.app.corrections import Corrections
from cliptune.errors import UserError
from cliptune.report.figures import data_uri
from cliptune.serving.forms import shorten

if TYPE_CHECKING:
    import gradio as gr

CSS = (Path(__file__).parent / "templates" / "app.css").read_text(encoding="utf-8")
#: Headings of the views.
VIEWS: dict[str, View] = {"Image": "image", "Saliency": "saliency", "Mask": "mask"}


def render_cards(cards: Sequence[Card], runs: int, message: str = "") -> str:
    """The answers as HTML, or a message in place of them."""
    environment = Environment(
        loader=PackageLoader("cliptune.app"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["data_uri"] = lambda content: data_uri("jpeg", content)
    return environment.get_template("cards.html.j2").render(cards=cards, runs=runs, message=message)


class Page:
    """The functions behind the page's controls.

    Args:
        comparison: Classifies the images.
        corrections: Stores corrected labels.
    """

    def __init__(self, comparison: Comparison, corrections: Corrections):
        self.comparison, self.corrections = comparison, corrections
        self._last: tuple[Any, str] = (None, "")

    def answer(self, files: Sequence[str] | None, names: str, view: str) -> str:
        """HTML of the answers for the chosen files."""
        asked, runs = (tuple(files or ()), names, view), len(self.comparison.runs)
        if self._last[0] != asked:  # a click on the button also ends the editing of the names, and asks twice
            try:
                html = render_cards(self.comparison.cards(files or [], names or "", VIEWS[view]), runs)
            except UserError as error:
                html = render_cards([], runs, str(error))
            self._last = asked, html
        return self._last[1]

    def choices(self, files: Sequence[str] | None, names: str) -> tuple[list[tuple[str, int]], list[str]]:
        """Images, as (name, index), and class names that a correction can be chosen from."""
        try:
            classes = parse_classes(names or "", self.comparison.limits.max_classes)
        except UserError:
            classes = ()
        images = [(f"{i + 1}. {shorten(Path(file).name)}", i) for i, file in enumerate(files or [])]
        return images, list(classes) or self.comparison.classnames

    def correct(self, files: Sequence[str] | None, index: int | None, label: str | None) -> str:
        """Store the class of a chosen file; what was done, or why it was not."""
        if not files or index is None or not 0 <= index < len(files) or not label:
            return "Choose an image and its class first."
        file = files[index]
        try:
            count = self.corrections.add(file, label)
        except UserError as error:
            return str(error)
        images = "image" if count == 1 else "images"
        return f"{shorten(Path(file).name)} is {label}. {count} {images} in {self.corrections.table}."


def build_page(page: Page, title: str) -> gr.Blocks:
    """The page with its controls."""
    import gradio as gr

    limits, runs = page.comparison.limits, page.comparison.runs

    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.Markdown(f"# {title}\n{_about(page.comparison)}")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                files = gr.File(
                    label=f"Images, up to {limits.max_images} of {limits.max_file_mib:g} MiB",
                    file_count="multiple",
                    elem_id="images",
                )
                names = gr.Textbox(
                    label="Classes",
                    info="separated by commas; empty for those of training",
                    value=", ".join(runs[0][1].tuned.classnames) if len(runs) == 1 else "",
                    placeholder=", ".join(page.comparison.classnames),
                    lines=2,
                    max_lines=6,
                    elem_id="classes",
                )
                view = gr.Radio([*VIEWS], value="Image", label="Show", elem_id="view")
                predict = gr.Button("Predict", variant="primary", elem_id="predict")
            with gr.Column(scale=5, min_width=320):
                answers = gr.HTML("", elem_id="answers", padding=False)
        with gr.Accordion("Correct a class", open=False, elem_id="corrections"):
            gr.Markdown(f"Corrections are added to `{page.corrections.table}`, which `--data csv:` reads.")
            with gr.Row():
                image = gr.Dropdown([], label="Image", elem_id="image", min_width=200)
                label = gr.Dropdown(
                    page.comparison.classnames,
                    value=None,
                    label="Class",
                    allow_custom_value=True,
                    elem_id="label",
                    min_width=200,
                )
            save = gr.Button("Save", elem_id="save")
            status = gr.Markdown("", elem_id="status")

        def show(chosen: Any, text: str, heading: str) -> tuple[Any, ...]:
            images, classes = page.choices(chosen, text)
            first = 0 if images else None
            return (
                page.answer(chosen, text, heading),
                gr.Dropdown(images, value=first),
                gr.Dropdown(classes, value=None),
            )

        hidden: dict[str, Any] = {"api_visibility": "private"}
        inputs, outputs = [files, names, view], [answers, image, label]
        triggers = [files.change, predict.click, names.submit, names.blur, view.change]
        gr.on(triggers, show, inputs, outputs, concurrency_limit=1, show_progress="minimal", **hidden)
        save.click(page.correct, [files, image, label], status, concurrency_limit=1, **hidden)
    return blocks


def _about(comparison: Comparison) -> str:
    """A line on the runs."""
    from cliptune import methods

    lines = [
        f"**{name}**: {methods.name_of(own.tuned.run.method)} on {own.tuned.model.backbone.name}, "
        f"{len(own.tuned.classnames)} classes"
        for name, own in comparison.runs
    ]
    return "  \n".join(lines)
