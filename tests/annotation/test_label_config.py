"""Label Studio's XML: what the workbench renders is taken, all else is refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from annotation.domain.labels import LabelConfig
from annotation.label_config import DEFAULT, label_config_parse
from flywheel.core.errors import ValidationFailed

BODY = '<Text name="t" value="$text"/>'


def test_the_default_asks_for_a_reply_and_its_quality():
    config = label_config_parse(DEFAULT)
    assert config.reply_control.name == "reply"
    assert [option.value for option in config.label_control.options] == ["good", "needs_edits", "wrong"]
    assert all(control.required for control in config.controls)


def test_all_controls_of_the_first_version_are_read():
    config = label_config_parse(
        f'<View>{BODY}<Paragraphs name="c" value="$conversation" layout="dialogue"/><Header value="Say"/>'
        '<TextArea name="a" toName="c" rows="3" placeholder="p"/>'
        '<Choices name="b" toName="t" choice="multiple"><Choice value="X" alias="x" hint="h" hotkey="q"/></Choices>'
        '<Rating name="r" toName="t" maxRating="7"/>'
        '<View><Labels name="l" toName="t"><Label value="L"/></Labels></View>'
        "</View>"
    )
    assert [(c.name, c.type) for c in config.controls] == [
        ("a", "textarea"), ("b", "choices"), ("r", "rating"), ("l", "labels"),
    ]
    first, choices, rating, _ = config.controls
    assert (first.title, first.rows, choices.multiple, rating.max_rating) == ("Say", 3, True, 7)
    assert (choices.options[0].value, choices.options[0].label, choices.options[0].hotkey) == ("x", "X", "q")


def test_a_header_names_what_stands_after_it_be_it_shown_or_asked():
    config = label_config_parse(
        '<View><Header value="Read this"/><Text name="t" value="$text"/><Text name="s" value="$subject"/>'
        '<Header value="Part 2"/><View><Header>  What is\n it worth? $5 </Header>'
        '<Rating name="r" toName="t"/></View><TextArea name="a" toName="t"/><Header value="The end"/></View>'
    )
    assert [document.title for document in config.documents] == ["Read this", ""]
    assert [control.title for control in config.controls] == ["Part 2 – What is it worth? $5", ""]
    assert LabelConfig.from_json(config.to_json()) == config


def test_a_configuration_stored_before_documents_had_titles_is_read():
    stored = label_config_parse(DEFAULT).to_json()
    for document in stored["documents"]:
        del document["title"]
    assert LabelConfig.from_json(stored) == label_config_parse(DEFAULT)


def test_fixed_text_has_the_line_ends_that_a_browser_counts():
    config = label_config_parse('<View><Text name="t" value="Read&#13;&#10;this"/><TextArea name="a" toName="t"/></View>')
    assert config.documents[0].fixed == "Read\nthis"


@pytest.mark.parametrize("start", ['<?xml version="1.0" encoding="UTF-16"?>', "\ufeff", "\n<?XML version='1.0'?>\n", "<!-- a -->"])
def test_what_stands_before_the_first_tag_in_files_is_no_fault(start):
    assert label_config_parse(f"{start}<View>{BODY}<TextArea name='a' toName='t'/></View>").reply_control.name == "a"


@pytest.mark.parametrize(("xml", "says"), [
    ("", "it is empty"), (" \n ", "it is empty"), ("hello", "not well-formed"), ("<View>\x00</View>", "not well-formed"),
    ("<View>\ud800</View>", "not well-formed"), (f"<View>{BODY}</View><View/>", "not well-formed"),
    (f"<View>{BODY} Tom & Jerry</View>", "& is written &amp;"),
    ("<View>", "not well-formed"),
    (f"<View>{BODY}<RectangleLabels name='r' toName='t'/></View>", "<RectangleLabels> is not supported"),
    ("<View><Image name='i' value='$image'/></View>", "<Image> is not supported"),
    (f"<View>{BODY}</View>", "nothing is asked"),
    ("<View/>", "nothing is shown"),
    (f"<View>{BODY}<TextArea name='a' toName='zz'/></View>", 'toName="zz"'),
    (f"<View>{BODY}<TextArea toName='t'/></View>", "a <TextArea> has no name"),
    (f"<View>{BODY}<TextArea name=' ' toName='t'/></View>", "a <TextArea> has no name"),
    (f"<View>{BODY}<TextArea name='a'/></View>", '<TextArea name="a"> needs a toName'),
    (f"<View>{BODY}<TextArea name='{'n' * 5_000}' toName='t'/></View>", "at most 100 are taken"),
    (f"<View>{BODY}<TextArea name='t' toName='t'/></View>", "is used twice"),
    (f"<View>{BODY}<Choices name='a' toName='t'/></View>", "nothing to choose"),
    (f"<View>{BODY}<Choices name='a' toName='t'><Choice value='x'/><Choice value='x'/></Choices></View>", "'x' twice"),
    (f"<View>{BODY}<Choices name='a' toName='t'><Choice/></Choices></View>", "has no value"),
    (f"<View>{BODY}<Choice value='x'/></View>", "direct child of <Choices>"),
    (f"<View>{BODY}<Choices name='a' toName='t'><Choice value=' '/></Choices></View>", "has no value"),
    (f"<View>{BODY}<Choices name='a' toName='t' choice='many'><Choice value='x'/></Choices></View>", 'choice="many"'),
    (f"<View>{BODY}<TextArea name='a' toName='t' required='yes'/></View>", 'required="yes" of <TextArea name="a">'),
    (f"<View>{BODY}<Rating name='r' toName='t' maxRating='99'/></View>", "whole number from 2 to 10"),
    (f"<View>{BODY}<Rating name='r' toName='t' maxRating='²'/></View>", "whole number from 2 to 10"),
    (f"<View>{BODY}<TextArea name='a' toName='t' rows='{'9' * 5_000}'/></View>", "whole number from 1 to 30"),
    ("<View>" * 3_000 + BODY + "</View>" * 3_000, "is inside 50 others"),
    ("<View><Text name='t' value='$nope'/><TextArea name='a' toName='t'/></View>", "$nope"),
    ("<View><Paragraphs name='t' value='$text'/><TextArea name='a' toName='t'/></View>", "must be $conversation"),
    ("<View><Paragraphs name='p' value='$conversation'/><Labels name='l' toName='p'><Label value='a'/></Labels></View>",
     "needs a <Text>"),
    (f"<View>{BODY}<Header value='On: $subject'/><TextArea name='a' toName='t'/></View>", 'value="$subject"/>'),
    ("<View><Text name='t' value='On: $subject'/><TextArea name='a' toName='t'/></View>", 'value="$subject"/>'),
    (f"<View>{BODY}<TextArea name='a' toName='t' perRegion='true'/></View>", "perRegion"),
    (f"<View>{BODY}<View visibleWhen='choice-selected'><TextArea name='a' toName='t'/></View></View>", "visibleWhen"),
    ("<?xml version='1.0'\n?>\n<View>\n  <!-- <Image/> -->\n  " + BODY + "\n  <View><Image name='i' value='$i'/></View></View>",
     "line 6: the tag <Image> is not supported"),
    (f"<View>{BODY}\n<Choices name='c' toName='t'>\n<Choice value='A'>\n<Choice value='B'/></Choice></Choices></View>",
     'line 4: <Choice value="B"> must be a direct child of <Choices>'),
    (f"\n\n<View>{BODY}\n<Rating name='r' toName='t' perRegion='true'/></View>", "line 4: the attribute perRegion of <Rating>"),
    (f"<View>{BODY}<TextArea name='a&#10;b' toName='t'/></View>", "the name of a <TextArea> has a line break, 'a b'"),
    (f"<View>{BODY}<Choices name='a' toName='t'><Choice value='x&#13;y'/></Choices></View>", "the value of a <Choice> has a line"),
    ("<!DOCTYPE x [<!ENTITY a 'aaaa'>]><View/>", "document type"),
    ('<?xml version="1.0"?><!doctype x [<!entity a "' + "a" * 1_000 + '">]><View>&a;</View>', "document type"),
    ("<View>" + " " * 1_000_000 + "</View>", "at most 50,000"),
])
def test_a_faulty_configuration_is_refused_with_what_is_wrong(xml, says):
    with pytest.raises(ValidationFailed) as caught:
        label_config_parse(xml)
    assert says in caught.value.message
    assert caught.value.field == "label_config"


@pytest.mark.slow
def test_showing_a_task_imports_neither_the_sdk_nor_torch():
    code = (
        "import sys, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'flywheel.settings.test';"
        "import django; django.setup();"
        "import annotation.views.workbench, annotation.api, annotation.services;"
        "print('label_studio_sdk' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
