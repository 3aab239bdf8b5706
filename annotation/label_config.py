"""Label configurations read from Label Studio's XML with Label Studio's own SDK, and the default one.

The SDK judges the XML; what our workbench can render is narrower, and what is not in it is refused by name. The SDK
takes half a second to import, so it is imported when a configuration is set and not when a task is shown.
"""

from __future__ import annotations

import re
from functools import lru_cache
from xml.etree import ElementTree
from xml.parsers import expat

from annotation.controls import CONTROLS, ConfigError, Control
from annotation.controls.base import one_line
from annotation.domain.labels import SHOWING_TAGS, TASK_VARIABLES, Document, LabelConfig
from annotation.models import Project
from flywheel.core.errors import ValidationFailed
from flywheel.core.text import plain_lines

MAX_LENGTH = 50_000
MAX_NAME = 100
# The SDK's parser refuses more than 256 levels with a message about its own options, so ours refuses first.
MAX_DEPTH = 50
_DECLARATION = re.compile(r"^\s*\ufeff?\s*<\?xml\b[^>]*\?>", re.IGNORECASE)
_PARENT = {control.child: tag for tag, control in CONTROLS.items() if control.child}
SUPPORTED_TAGS = SHOWING_TAGS | CONTROLS.keys() | _PARENT.keys()

DEFAULT = """<View>
  <Paragraphs name="conversation" value="$conversation" layout="dialogue"/>
  <Header value="Reply"/>
  <TextArea name="reply" toName="conversation" required="true" rows="10"
            placeholder="Write the reply you would want to get as this customer."/>
  <Header value="How good was the agent's reply?"/>
  <Choices name="quality" toName="conversation" choice="single" required="true">
    <Choice value="Good" alias="good" hint="Could go out as it is"/>
    <Choice value="Needs edits" alias="needs_edits" hint="Right in substance; wording, order or tone had to change"/>
    <Choice value="Wrong" alias="wrong" hint="Wrong, incomplete or against policy: written anew"/>
  </Choices>
</View>
"""

DEFAULT_GUIDELINES = """\
## What you make

The **reply the customer should have got**. The agent's own reply is filled in; change what is wrong and leave what is
right. A model will learn to write as you do, so every reply should be one you would sign.

## A good reply

1. **Answers what was asked**, all of it, in the order it was asked.
2. **Is true.** Use only what the conversation and our policies say. When something cannot be known, say what will be
   done to find out and by when.
3. **Says what happens next**: who does what, and when the customer hears again.
4. **Is kind and short.** Acknowledge the trouble once. No filler, no blame, no jargon. Three to six sentences.
5. **Starts with the customer, ends with the step.** No ticket numbers unless the customer has to quote them.

## Personal data

Chips such as `<EMAIL_1>` replace personal data that was taken out. Keep a chip where the reply needs it, written
exactly like that. Never write a real name, address or number, also when you can guess it. When you see some that were
missed, flag the task: it is not given out, and it teaches nothing, until a lead or reviewer has looked.

## Judging the agent's reply

- **Good**: you changed nothing, or a comma.
- **Needs edits**: right in substance; you changed wording, order or tone.
- **Wrong**: it misled, missed the question, broke policy, or you wrote it anew.

## When to skip, when to flag

Skip what is not for you: the conversation is not understandable, is in a language you do not read, or needs knowledge
you do not have. Say which: the reason goes to the lead, and the task to another annotator.

Flag what is wrong for all: personal data left in the text, a case these guidelines do not cover, unsafe content.
"""


def label_config_of(project: Project) -> LabelConfig:
    """A project's configuration, as stored when it was set; parsed here when it never was."""
    if project.label_schema:
        return LabelConfig.from_json(project.label_schema)
    return label_config_parse(project.label_config)


# Cached, because the SDK takes some ten milliseconds for each configuration, and the editor's preview and the form's
# own check parse the same text again.
@lru_cache(maxsize=256)
def label_config_parse(xml: str) -> LabelConfig:
    """Parse and validate. Raises ValidationFailed, with what is wrong and the fix, on the field "label_config"."""
    if len(xml) > MAX_LENGTH:
        raise _invalid(f"the configuration has {len(xml):,} characters; at most {MAX_LENGTH:,} are taken")
    # Entities can expand to gigabytes ("billion laughs") or read files, and neither is needed in a label configuration.
    if "<!DOCTYPE" in xml.upper() or "<!ENTITY" in xml.upper():
        raise _invalid("a document type or entity is not allowed; remove everything before <View>")
    # The text is characters already, whatever encoding it says it had.
    xml = _DECLARATION.sub(lambda found: "\n" * found[0].count("\n"), xml).rstrip()
    root = _root(xml)
    # Our own checks come first, because they name the tag and the fix.
    _supported(root, _lines(xml))
    config = LabelConfig(
        documents=tuple(_document(element, title) for element, title in _titled(root) if element.tag in _SHOWN),
        controls=tuple(_control(element, title) for element, title in _titled(root) if element.tag in CONTROLS),
    )
    _complete(config)
    _validate(xml.strip())
    return config


def _invalid(message: str) -> ValidationFailed:
    return ValidationFailed(f"label configuration: {message}", field="label_config")


def _root(xml: str) -> ElementTree.Element:
    if not xml.strip():
        raise _invalid('it is empty; write what is shown and what is asked between <View> and </View>')
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  document types and entities were refused
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise _invalid(f"this is not well-formed XML: {error}; every <Tag> needs its </Tag> or ends with />, and & is "
                       "written &amp;") from error
    _not_too_deep(root)
    return root


def _lines(xml: str) -> list[int]:
    """The line each tag begins on, in the order of the tags; ElementTree does not remember it."""
    lines: list[int] = []
    # A second pass with expat, because errors name the line and ElementTree keeps none.
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: lines.append(parser.CurrentLineNumber)
    parser.Parse(xml, True)
    return lines


def _not_too_deep(root: ElementTree.Element) -> None:
    # Level by level and without recursion, because this check must not itself run out of stack.
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _invalid(f"<{level[0].tag}> is inside {depth - 1} others; at most {MAX_DEPTH} levels are taken")
        level = [child for element in level for child in element]


def _validate(xml: str) -> None:
    # Imported here, because the SDK takes half a second and no task is shown through it.
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        LabelInterface(xml).validate()  # type: ignore[no-untyped-call]
    except Exception as error:
        # The SDK raises many classes, bare Exception among them.
        raise _invalid(str(error) or type(error).__name__) from error


def _supported(root: ElementTree.Element, lines: list[int]) -> None:
    known = ", ".join(sorted(SUPPORTED_TAGS))
    line_of = dict(zip(root.iter(), lines, strict=True))
    for element, line in line_of.items():
        if element.tag not in SUPPORTED_TAGS:
            raise _invalid(f"line {line}: the tag <{element.tag}> is not supported; there are: {known}")
        for attribute in ("visibleWhen", "perRegion", "perItem"):
            if element.get(attribute, "false") != "false":
                raise _invalid(f"line {line}: the attribute {attribute} of <{element.tag}> is not supported; remove it")
        for child in element:
            if child.tag in _PARENT and element.tag != _PARENT[child.tag]:
                raise _invalid(f"line {line_of[child]}: <{child.tag} value=\"{child.get('value', '')}\"> must be a "
                               f"direct child of <{_PARENT[child.tag]}>")


_SHOWN = ("Text", "Paragraphs")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


def _titled(root: ElementTree.Element) -> list[tuple[ElementTree.Element, str]]:
    """What is shown and what is asked, in order, each with the Headers between it and the one before."""
    found: list[tuple[ElementTree.Element, str]] = []
    headers: list[str] = []
    for element in root.iter():
        if element.tag == "Header":
            # Label Studio takes a header's words from the value or from between the tags.
            words = " ".join((element.get("value") or element.text or "").split())
            _no_variable(words, f'<Header value="{words[:80]}">')
            headers.append(words)
        elif element.tag in _SHOWN or element.tag in CONTROLS:
            found.append((element, " – ".join(filter(None, headers))))
            headers = []
    return found


def _no_variable(words: str, where: str) -> None:
    if found := _VARIABLE.search(words):
        raise _invalid(f"{where} has {found[0][:40]} among its words, which is not filled in here; show it with "
                       f'<Text name="…" value="{found[0][:40]}"/>')


def _document(element: ElementTree.Element, title: str) -> Document:
    name, value = _name(element), element.get("value", "")
    if not value:
        raise _invalid(f"<{element.tag} name=\"{name}\"> needs a value, such as value=\"$text\"")
    if not value.startswith("$"):
        _no_variable(value, f'<{element.tag} name="{name}">')
        # Browsers know one line end only; another one would move the offsets of marks.
        return Document(name=name, tag=element.tag, fixed=plain_lines(value), title=title)
    if value[1:] not in TASK_VARIABLES:
        known = ", ".join(f"${variable}" for variable in TASK_VARIABLES)
        raise _invalid(f"<{element.tag} name=\"{name}\"> shows {value}, which no task has; there are: {known}")
    if element.tag == "Paragraphs" and value != "$conversation":
        raise _invalid(f"<Paragraphs name=\"{name}\"> shows {value}; it must be $conversation, use <Text> for text")
    return Document(name=name, tag=element.tag, variable=value[1:], title=title)


def _control(element: ElementTree.Element, title: str) -> Control:
    name = _name(element)
    if not element.get("toName"):
        raise _invalid(f"<{element.tag} name=\"{name}\"> needs a toName, the name of what is shown, such as "
                       "toName=\"conversation\"")
    try:
        return CONTROLS[element.tag].parse(element, name=name, title=title)
    except ConfigError as error:
        raise _invalid(str(error)) from error


def _name(element: ElementTree.Element) -> str:
    name = element.get("name", "")
    if not name.strip():
        raise _invalid(f"a <{element.tag}> has no name; give it one, such as name=\"reply\"")
    try:
        one_line(name, f"the name of a <{element.tag}>")
    except ConfigError as error:
        raise _invalid(str(error)) from error
    if len(name) > MAX_NAME:
        raise _invalid(f"the name '{name[:40]}…' has {len(name):,} characters; at most {MAX_NAME} are taken")
    return name


def _complete(config: LabelConfig) -> None:
    if not config.documents:
        raise _invalid("nothing is shown; add <Paragraphs name=\"conversation\" value=\"$conversation\"/>")
    if not config.controls:
        raise _invalid(f"nothing is asked; add one of {', '.join(sorted(CONTROLS))}")
    names = [item.name for item in config.documents] + [item.name for item in config.controls]
    # Results refer to controls by name alone, so two controls of one name would be the same.
    if repeated := next((name for name in names if names.count(name) > 1), ""):
        raise _invalid(f"the name '{repeated}' is used twice; every tag needs its own name")
    for control in config.controls:
        document = config.document(control.to_name)
        if document is None:
            shown = ", ".join(item.name for item in config.documents)
            raise _invalid(f"toName=\"{control.to_name[:40]}\" of <{control.tag} name=\"{control.name}\"> is nothing "
                           f"shown; there are: {shown}")
        if problem := control.document_problem(document.tag, document.name):
            raise _invalid(problem)
