"""Capture's pure rules."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flywheel.capture.domain import minhash
from flywheel.capture.domain.conversation import conversation_of, example_uid, looks_like_name
from flywheel.capture.domain.payloads import BadPayload, delivery_of, parse_json
from flywheel.capture.domain.redaction import SUBJECT, redact
from flywheel.capture.domain.text import clean_text
from flywheel.privacy.detector import PiiSpan
from tests.flywheel.capture.conftest import call, ticket


def order(**fields):
    return delivery_of(ticket(**fields)).order_key


def test_a_higher_number_is_newer_however_many_digits_it_has():
    assert order(version="2") < order(version="10") < order(version="v11") < order(version="0012")
    assert order(version=9) < order(version="123456789012345678901234567890")


def test_a_numbered_version_is_newer_than_one_without_a_number():
    assert order() < order(version="1")
    assert order(version="draft") < order(version="1")


def test_without_a_number_the_newest_message_decides():
    older, newer = ticket(), ticket("T-1", "a", "b", "c")
    assert delivery_of(older).order_key < delivery_of(newer).order_key


def test_versions_that_are_times_are_ordered_by_time():
    assert order(version="2025-03-01T10:00:00Z") < order(version="2025-03-01T12:30:00+01:00")


def test_the_version_of_a_delivery_without_one_is_its_content():
    assert delivery_of(ticket()).version == delivery_of(dict(reversed(ticket().items()))).version
    assert delivery_of(ticket()).version != delivery_of(ticket("T-1", "Other")).version


@given(
    st.dictionaries(
        st.sampled_from(["version", "customer", "tags", "language", "label", "purposes", "subject"])
        | st.text(max_size=5),
        # A handful of values a field is all that can matter; a hundred (the default) are drawn for seconds.
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda s: st.lists(s, max_size=4) | st.dictionaries(st.text(max_size=5), s, max_size=4),
            max_leaves=8,
        ),
        max_size=8,
    )
)
@example({"version": 10**400, "tags": ["t"] * 300, "label": "\ud800"})
@example({"deep": json.loads("[" * 200 + "]" * 200)})
def test_any_json_is_either_taken_or_refused_with_a_reason(extra):
    try:
        delivery = delivery_of(parse_json(json.dumps(extra | ticket())))
    except BadPayload:
        return
    else:
        assert json.loads(delivery.canonical)["external_id"] == "T-1"
        assert len(delivery.order_key) <= 120


@given(st.binary(max_size=200))
def test_any_bytes_are_either_an_object_or_refused(raw):
    try:
        assert isinstance(parse_json(raw), dict)
    except BadPayload as bad:
        if not bad.reason:
            raise


def test_invisible_and_direction_changing_characters_are_removed():
    assert clean_text("call +44\u200b 7700\u00ad 900\u2060123, 4111\u200e1111\u202e11111111") == (
        "call +44 7700 900123, 4111111111111111"
    )
    family = "\U0001f468\u200d\U0001f469"
    assert clean_text("4111\u200d1111, jana\u200c@example.com, 07\ufe0f70") == "41111111, jana@example.com, 0770"
    assert clean_text(f"{family} می\u200cخواهم") == f"{family} می\u200cخواهم"


def test_a_number_and_the_same_number_as_text_are_one_delivery():
    number = delivery_of({**ticket("T"), "external_id": 7, "version": 3})
    text = delivery_of({**ticket("T"), "external_id": "7", "version": "3"})
    assert number == text
    assert json.loads(text.canonical)["version"] == "3"


def test_the_same_conversation_has_the_same_identifier_everywhere():
    assert example_uid(source="acme", external_id="T-1") == example_uid(source="acme", external_id="T-1")
    assert example_uid(source="acme", external_id="T-1") != example_uid(source="acm", external_id="eT-1")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("nul\x00 bell\x07 tab\t.", "nul bell tab\t."),
        ("cafe\u0301", "café"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("\ufeffmark", "mark"),
        ("<p>Hi <b>you</b></p><p>Bye&nbsp;now &amp; then</p>", "Hi you\nBye\xa0now & then"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("<script>alert(1)</script><div>x</div>", "x"),
        ("<div>mail <EMAIL_1></div>", "mail <EMAIL_1>"),
        ("1 < 2 and <EMAIL_1> & <3", "1 < 2 and <EMAIL_1> & <3"),
        ("List<String> is <generic>", "List<String> is <generic>"),
        ("<img src=x onerror=alert(1)>pic", "pic"),
        ("a\n\n\n\n\nb  \nc", "a\n\nb\nc"),
    ],
)
def test_text_is_made_plain(raw, clean):
    assert clean_text(raw) == clean


@given(st.text())
def test_plain_text_stays_as_it_is(text):
    assert clean_text(clean_text(text)) == clean_text(text) or "<" in text
    assert "\x00" not in clean_text(text)
    clean_text(text).encode()


def shape(payload):
    found = conversation_of(payload)
    return [(m["role"], m["text"]) for m in found.messages], found.context_length


@pytest.mark.parametrize(
    ("roles", "length"),
    [
        ("ca", 1),
        ("caca", 3),
        ("caa", 2),
        ("cac", 3),
        ("c", 1),
        ("a", 0),
        ("can", 1),
        ("cacn", 4),
        ("n", 1),
        ("nca", 2),
    ],
)
def test_the_context_is_everything_before_the_agents_last_word(roles, length):
    names = {"c": "customer", "a": "agent", "n": "note"}
    messages = [{"role": names[r], "text": f"text {i}"} for i, r in enumerate(roles)]
    assert conversation_of({"external_id": "x", "messages": messages}).context_length == length


def test_messages_are_ordered_by_time_when_all_have_one():
    payload = ticket()
    payload["messages"].reverse()
    assert shape(payload)[0][0][0] == "customer"
    payload["messages"][0]["at"] = None
    assert shape(payload)[0][0][0] == "agent"


def test_a_calls_segments_of_one_speaker_become_one_message():
    found = conversation_of(call())
    assert [(m["role"], m["text"], m["start_ms"], m["end_ms"]) for m in found.messages] == [
        ("agent", "Hello, how can I help?", 0, 900),
        ("customer", "My lamp is broken.", 1000, 3000),
        ("agent", "We send a new one.", 3100, 4000),
    ]
    assert found.messages[1]["at"] == "2025-03-01T09:00:01+00:00"
    assert found.context_length == 2


def test_segments_in_any_order_and_overlapping_give_the_same_call():
    one, other = call(), call()
    other["segments"].reverse()
    other["segments"][1]["end_ms"] = one["segments"][2]["end_ms"] = 3500
    assert conversation_of(one).messages == conversation_of(other).messages


@pytest.mark.parametrize(
    ("speakers", "channels", "roles"),
    [
        (["Agent 1", "Caller"], 2, ["agent", "customer"]),
        (["spk_0", "spk_1"], 2, ["agent", "customer"]),
        (["spk_0", "customer"], 2, ["agent", "customer"]),
        (["Priya", "support"], None, ["customer", "agent"]),
        (["0", "1"], [{"channel": 0, "role": "customer"}, {"channel": 1, "role": "agent"}], ["customer", "agent"]),
        (["L", "R"], {"L": "customer", "R": "agent"}, ["customer", "agent"]),
        (["me"], 1, ["customer"]),
    ],
)
def test_who_is_the_agent_is_worked_out(speakers, channels, roles):
    segments = [{"speaker": s, "start_ms": i, "end_ms": i + 1, "text": "x"} for i, s in enumerate(speakers)]
    assert [m["role"] for m in conversation_of(call(segments=segments, channels=channels)).messages] == roles


@pytest.mark.parametrize(
    ("fields", "refs"),
    [
        ({}, ["Cora Customer"]),
        ({"customer": {"ref": "c-9", "name": "Cora Customer"}}, ["c-9"]),
        ({"customer": {"ref": "c-9"}}, ["c-9", "Cora Customer"]),
        ({"customer": {"name": "Cora"}}, ["Cora Customer"]),
        ({"messages": [{"role": "customer", "text": "x"}]}, ["conversation:T-1"]),
        ({"messages": [{"role": "customer", "author": "Customer 1", "text": "x"}]}, ["conversation:T-1"]),
        ({"messages": [{"role": "customer", "author": "88127", "text": "x"}]}, ["88127"]),
        ({"messages": [{"role": "customer", "author": "Ольга", "text": "x"}]}, ["Ольга"]),
        ({"messages": [{"role": "agent", "author": "Al", "text": "x"}]}, ["conversation:T-1"]),
    ],
)
def test_every_conversation_has_a_subject_to_ask(fields, refs):
    assert conversation_of(ticket(**fields)).customer_refs == refs


@pytest.mark.parametrize(
    ("author", "name"),
    [
        ("Priya Natarajan", True),
        ("Siobhan O'Neill", True),
        ("J. R. Hartley", True),
        ("agent", False),
        ("Customer 1", False),
        ("cus_0012", False),
        ("x@y.com", False),
        ("jana kovac", False),
        ("王小明", True),
        ("محمد علي", True),
        ("प्रिया शर्मा", True),
        ("", False),
        ("Support Team", False),
    ],
)
def test_names_are_distinguished_from_other_entries(author, name):
    assert looks_like_name(author) is name


def test_a_customers_name_counts_in_small_letters_and_an_agents_may_be_something_else():
    given = ticket("T-1", customer={"ref": "c-1", "name": "rosa"})
    given["messages"][0]["author"], given["messages"][1]["author"] = "jana kovac", "live chat"
    assert conversation_of(given).names == ["jana kovac", "rosa"]


def test_a_ticket_may_be_as_long_as_a_call():
    long = {"external_id": "T-1", "messages": [{"role": "customer", "text": f"line {n}"} for n in range(10_000)]}
    assert len(conversation_of(long).messages) == 10_000


def test_text_that_is_only_markup_cannot_be_made_a_conversation():
    with pytest.raises(BadPayload, match="no message has any text once markup"):
        conversation_of(ticket("T-1", "<p></p>"))


def span(text, value, kind):
    start = text.index(value)
    return PiiSpan(start, start + len(value), kind, 0.9)


def test_the_same_value_has_the_same_placeholder_through_subject_and_messages():
    texts = ["From a@b.de", "I am a@b.de or c@d.de", "Dear A@B.de"]
    found = redact(
        texts,
        [
            [span(texts[0], "a@b.de", "EMAIL")],
            [span(texts[1], "a@b.de", "EMAIL"), span(texts[1], "c@d.de", "EMAIL")],
            [span(texts[2], "A@B.de", "EMAIL")],
        ],
        first_message=SUBJECT,
    )
    assert found.texts == ["From <EMAIL_1>", "I am <EMAIL_1> or <EMAIL_2>", "Dear <EMAIL_1>"]
    assert [p["message"] for p in found.pii] == [-1, 0, 0, 1]


def test_numbers_go_on_after_placeholders_that_came_with_the_text():
    found = redact(["<EMAIL_3> and a@b.de"], [[PiiSpan(14, 20, "EMAIL", 1)]])
    assert found.texts == ["<EMAIL_3> and <EMAIL_4>"]


def test_a_part_of_a_known_name_is_the_same_person():
    texts = ["Priya Natarajan here", "Hi Priya!"]
    found = redact(
        texts,
        [[span(texts[0], "Priya Natarajan", "PERSON")], [span(texts[1], "Priya", "PERSON")]],
        people=["Priya Natarajan"],
        authors=["Priya Natarajan", "agent"],
    )
    assert found.texts == ["<PERSON_1> here", "Hi <PERSON_1>!"]
    assert found.authors == ["<PERSON_1>", "agent"]


@given(st.lists(st.text(alphabet=string.ascii_letters + " <>_1", max_size=30), min_size=1, max_size=4), st.data())
def test_spans_lead_back_to_the_original(texts, data):
    spans = []
    for text in texts:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
        spans.append([PiiSpan(a, b, "PERSON", 1) for a, b in zip(cuts[::2], cuts[1::2], strict=False)])
    found = redact(texts, spans)
    for index, (text, redacted) in enumerate(zip(texts, found.texts, strict=True)):
        rebuilt, done = "", 0
        for p in [p for p in found.pii if p["message"] == index]:
            rebuilt += text[done : p["start"]] + p["placeholder"]
            done = p["end"]
        assert rebuilt + text[done:] == redacted


def test_case_spacing_punctuation_and_placeholder_numbers_make_no_other_text():
    assert minhash.comparable(["Hello,  World!", "<EMAIL_1>"]) == minhash.comparable(["hello world <EMAIL_9>"])


LONG = (
    "my lamp went dark after two days and the switch does nothing please tell me how to return it to your shop in town"
)


@pytest.mark.parametrize(
    ("other", "is_near"),
    [
        (LONG, True),
        (LONG.replace("lamp", "desk lamp"), True),
        (LONG + " thanks", True),
        (LONG[:60] + " I would rather have my money back by the end of the week", False),
        ("hello there", False),
    ],
)
def test_texts_are_near_when_most_of_their_shingles_are_shared(other, is_near):
    assert minhash.near(LONG, other) is is_near
    one, two = minhash.band_digests([LONG, other])
    assert bool(set(one) & set(two)) is is_near


def test_band_digests_are_the_same_in_every_process():
    digests = minhash.band_digests([LONG])[0]
    assert len(set(digests)) == minhash.BANDS
    assert all(-(2**63) <= d < 2**63 for d in digests)
    assert digests == minhash.band_digests(["x", LONG])[1]
