"""Tasks and answers as pages show them: controls with their values and keys, guidelines as HTML, forms as results.

Queries only through selectors; nothing is changed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import uuid4

import nh3
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from annotation import selectors
from annotation.controls import Control, Option
from annotation.domain.labels import Document, LabelConfig, TaskData, keys_of, result_build, values_of
from annotation.domain.redaction import Span, Stretch, stretches, written
from annotation.domain.suggestions import Piece, word_diff
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Flag, Project, Review, Suggestion

FIELD_PREFIX = "c-"
LABEL_TONES = 6
FAR = 8
"""Messages before the reply to correct from which on the workbench links to it."""


@lru_cache(maxsize=128)
def guidelines_html(text: str) -> SafeString:
    """Guidelines written in Markdown as harmless HTML: raw HTML is shown as text, headings start at level 3.

    Links open beside the work. Images become links, since pages load nothing from other hosts.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", _image_link)
    tokens = markdown.parse(text)
    _headings_nest(tokens)
    rendered = markdown.renderer.render(tokens, markdown.options, {})
    cleaned = nh3.clean(rendered, set_tag_attribute_values={"a": {"target": "_blank"}})
    return mark_safe(cleaned)  # noqa: S308  cleaned on the line before


def _headings_nest(tokens: list[Token]) -> None:
    """Headings from level 3 down and none left out, whatever levels were written: those above are the page's."""
    outer: list[int] = []
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            outer = [*(above for above in outer if above < level), level]
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(2 + len(outer), 6)}"


def _image_link(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    return format_html('<a href="{}">{}</a>', token.attrs.get("src", ""), token.content or "image")


@dataclass(frozen=True, slots=True)
class OptionView:
    """One choice: whether it is chosen, the key that chooses it, and the tone of a label."""

    option: Option
    key: str
    chosen: bool
    tone: int


@dataclass(frozen=True, slots=True)
class ControlView:
    """One control with its value; `field` is its name in a form, `dom` its identifier, since names may hold blanks."""

    control: Control
    number: int
    value: Any
    options: list[OptionView] = field(default_factory=list)
    error: str = ""
    is_reply: bool = False

    @property
    def dom(self) -> str:
        return f"c{self.number}"

    @property
    def field(self) -> str:
        return FIELD_PREFIX + self.control.name

    @property
    def json(self) -> str:
        """The value as JSON, for controls that a module draws."""
        return json.dumps(self.value or [])


@dataclass(frozen=True, slots=True)
class DocumentView:
    """One document: a conversation, or text (with the labels that may be put on it)."""

    document: Document
    text: str
    labels: Control | None

    @property
    def is_chat(self) -> bool:
        return self.document.variable == "conversation" and self.document.tag == "Paragraphs"


@dataclass(frozen=True, slots=True)
class TaskView:
    """All that the workbench shows of one assignment."""

    assignment: Assignment
    data: TaskData
    documents: list[DocumentView]
    controls: list[ControlView]
    suggestion: Suggestion | None
    others: list[Suggestion]
    rejection: Review | None
    flag: Flag | None
    submission_id: str
    prefilled: bool
    error: str = ""

    @property
    def target(self) -> int | None:
        return self.data.target

    @property
    def target_is_far(self) -> bool:
        """Whether the reply to correct is so far down a shown conversation that a link to it saves scrolling."""
        return (self.target or 0) >= FAR and any(document.is_chat for document in self.documents)


def task_view(
    assignment: Assignment, *, values: dict[str, Any] | None = None, submission_id: str = "", error: str = "",
    error_field: str = "",
) -> TaskView:
    """What the workbench shows: posted `values` if any, else the draft, else the suggestion as an editable draft."""
    config = label_config_of(assignment.project)
    example = assignment.task.example
    data = selectors.task_data(example)
    suggestions = selectors.suggestions_of(example)
    suggestion = suggestions[0] if suggestions and config.reply_control else None
    prefilled = values is None and not assignment.draft
    if values is None:
        values = values_of(assignment.draft, config)
    if prefilled and suggestion is not None and config.reply_control is not None:
        # As the text's value and not as a placeholder, so that an annotator edits it and a form without scripts sends
        # it.
        values = {**values, config.reply_control.name: suggestion.reply}
    return TaskView(
        assignment=assignment, data=data, documents=_documents(config, data),
        controls=controls_of(config, values, error=error, error_field=error_field), suggestion=suggestion,
        others=suggestions[1:], rejection=selectors.rejection_of(assignment.task, assignment.user),
        flag=selectors.flag_returned_of(assignment.task),
        submission_id=submission_id or str(uuid4()), prefilled=prefilled, error=error,
    )


def _documents(config: LabelConfig, data: TaskData) -> list[DocumentView]:
    labels = {control.to_name: control for control in config.controls if control.several}
    return [
        DocumentView(document=document, text=data.text_of(document), labels=labels.get(document.name))
        for document in config.documents
    ]


def documents_of(config: LabelConfig, data: TaskData) -> list[DocumentView]:
    """What is shown of a task."""
    return _documents(config, data)


def controls_of(
    config: LabelConfig, values: dict[str, Any], *, error: str = "", error_field: str = ""
) -> list[ControlView]:
    """The controls with their values; digits 1 to 9 are given to options in their order."""
    keys, reply = keys_of(config), config.reply_control
    return [
        ControlView(
            control=control, number=number, value=values.get(control.name),
            options=_options(control, values.get(control.name), keys),
            error=error if control.name == error_field else "", is_reply=control is reply,
        )
        for number, control in enumerate(config.controls, start=1)
    ]


def _options(control: Control, value: Any, keys: Mapping[tuple[str, str], str]) -> list[OptionView]:
    return [
        OptionView(
            option=option, key=keys.get((control.name, option.value), ""), tone=index % LABEL_TONES + 1,
            chosen=control.is_chosen(option, value),
        )
        for index, option in enumerate(control.options)
    ]


def values_posted(config: LabelConfig, post: QueryDict) -> dict[str, Any]:
    """Plain values by control from a posted form."""
    return {control.name: control.from_post(post.getlist(FIELD_PREFIX + control.name)) for control in config.controls}


def result_posted(config: LabelConfig, post: QueryDict) -> list[dict[str, Any]]:
    """The result list of a posted form."""
    return result_build(config, values_posted(config, post))


@dataclass(frozen=True, slots=True)
class FoundView:
    """Personal data that was found in an answer: the text itself, its placeholder, and in which control, ""
    for the reply."""

    span: Span
    control: str
    text: str


def _found(annotation: Annotation, config: LabelConfig) -> list[FoundView]:
    texts = {(text.control, text.part): text.text for text in written(annotation.result)}
    shown = {control.name: control.shown_name for control in config.controls if control is not config.reply_control}
    return [
        FoundView(span, shown.get(span["control"], ""),
                  texts.get((span["control"], span["part"]), "")[span["start"] : span["end"]])
        for span in annotation.pii
    ]


def _marked(annotation: Annotation, control: Control | None) -> list[Stretch]:
    """The reply with what was found in it, part after part."""
    parts = [text for text in written(annotation.result) if control is not None and text.control == control.name]
    marked: list[Stretch] = []
    for text in parts:
        spans = [s for s in annotation.pii if (s["control"], s["part"]) == (text.control, text.part)]
        marked += [Stretch("\n\n"), *stretches(text.text, spans)] if marked else stretches(text.text, spans)
    return marked


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer as a reviewer sees it."""

    annotation: Annotation
    reply: list[Stretch]
    found: list[FoundView]
    diff: list[Piece] | None
    same: bool
    facts: list[tuple[str, str]]
    controls: list[ControlView]
    comment: str = ""
    fixing: bool = False


def answer_view(
    annotation: Annotation, project: Project, *, posted: dict[str, Any] | None = None, comment: str = ""
) -> AnswerView:
    """An answer with its difference from the suggestion that was shown, and its other controls in words.

    `posted` are the values of a fix that was refused, so that its form has them again.
    """
    config = label_config_of(project)
    values = values_of(annotation.result, config)
    reply = str(values.get(config.reply_control.name, "")) if config.reply_control else ""
    if annotation.suggestion is not None:
        # The task's page has loaded the example; without this the suggestion would load it again for each answer.
        annotation.suggestion.example = annotation.task.example
    shown = annotation.suggestion.reply if annotation.suggestion else None
    return AnswerView(
        annotation=annotation, reply=_marked(annotation, config.reply_control), found=_found(annotation, config),
        diff=word_diff(shown, reply) if shown is not None else None,
        same=shown is not None and shown.strip() == reply.strip(),
        facts=[
            (control.shown_name, control.summary(values[control.name]))
            for control in config.controls
            if control is not config.reply_control and values.get(control.name) not in (None, "", [])
        ],
        controls=controls_of(config, posted or values), comment=comment, fixing=posted is not None,
    )
