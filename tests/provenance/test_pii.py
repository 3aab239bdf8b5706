"""The real detector on what it must find, what it must leave, and how quick it is."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from provenance import pii
from provenance.pii import PiiSpan, PresidioDetector, _Found, _resolved, default_detector

# The real pipeline: four seconds to import and to load, in the one process that runs all of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("spacy")]


@pytest.fixture(scope="session")
def detector() -> PresidioDetector:
    return default_detector()  # type: ignore[return-value]


def found(detector, text, names=(), things=()):
    spans = detector.find([[text]], names=[list(names)], things=[list(things)])[0][0]
    return [(text[s.start : s.end], s.type) for s in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to priya.n+shop@example.co.uk please", [("priya.n+shop@example.co.uk", "EMAIL")]),
        ("it is john at gmail dot com", [("john at gmail dot com", "EMAIL")]),
        ("call +44 7700 900123 today", [("+44 7700 900123", "PHONE")]),
        ("phone:(425)555-0133 or so", [("(425)555-0133", "PHONE")]),
        ("Call (425)555-0133.", [("(425)555-0133", "PHONE")]),
        ("ring 07700 900341 or 020 7946 0118", [("07700 900341", "PHONE"), ("020 7946 0118", "PHONE")]),
        ("my mobile number is 5550133 99", [("5550133 99", "PHONE")]),
        ("the code is nine nine four two thanks", [("nine nine four two", "NUMBER")]),
        ("Four, seven, double two, oh", [("Four, seven, double two, oh", "NUMBER")]),
        ("I live at 14 Elm Street", [("14 Elm Street", "ADDRESS")]),
        ("send it to 221b Baker Street, Flat 4", [("221b Baker Street, Flat 4", "ADDRESS")]),
        ("at 14 elm street please", [("14 elm street", "ADDRESS")]),
        ("Hauptstraße 12a in the back", [("Hauptstraße 12a", "ADDRESS")]),
        ("card 4111 1111 1111 1111 declined", [("4111 1111 1111 1111", "CARD")]),
        ("IBAN DE89 3704 0044 0532 0130 00", [("DE89 3704 0044 0532 0130 00", "IBAN")]),
        ("from 192.168.10.44 again", [("192.168.10.44", "IP")]),
        ("SSN 536-22-1234", [("536-22-1234", "ID")]),
        ("born 12/03/1980 in spring", [("12/03/1980", "BIRTHDATE")]),
        ("see https://shop.example.com/t?id=9&u=cora for it", [("https://shop.example.com/t?id=9&u=cora", "URL")]),
        ("This is Priya Natarajan speaking", [("Priya Natarajan", "PERSON")]),
        ("Siobhan O'Neill asked me", [("Siobhan O'Neill", "PERSON")]),
        ("call 555-0133", [("555-0133", "PHONE")]),
    ("my number is 2025550173", [("2025550173", "PHONE")]),
    ("my name is maria lopez and i wait", [("maria lopez", "PERSON")]),
    ("From: Anna-Lena Svensson <anna@x.se>", [("Anna-Lena Svensson", "PERSON"), ("anna@x.se", "EMAIL")]),
    ("write to P.O. Box 1234", [("P.O. Box 1234", "ADDRESS")]),
    ("account number 12345678, sort code 12-34-56", [("12345678", "ACCOUNT"), ("12-34-56", "ACCOUNT")]),
    ("Our flat in London is cold", [("London", "LOCATION")]),
    ],
)
def test_personal_data_is_found_as_what_it_is(detector, text, expected):
    assert found(detector, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Order 48213377 from 2024-05-01 cost $1,299.00, tracking 1Z999AA10123456784.",
        "The card 4111 1111 1111 1112 has a wrong digit, version 3.11.7 too.",
        "I waited three days and two nights, one of them outside.",
        "On Monday 5 May at half past nine we called Microsoft and a German colleague.",
        "My Nibble stopped; the Rustle works. An Iced Latte, please.",
        "Hi! Thanks. Will you mark it as done? May I ask? OK.",
        "It is at 100 percent after 2 hours, 15 minutes and 3 restarts.",
        "My name is not spelled right. The order number is 4821337755 and call 3 failed.",
    "<EMAIL_1> wrote to <PERSON_2> from <LOCATION_1>.",
        "",
    ],
)
def test_what_is_no_personal_data_is_left(detector, text):
    assert found(detector, text) == []


def test_a_known_name_is_found_in_whole_and_in_part(detector):
    text = "hi this is cora lindqvist. Regards, Cora. The corals are fine."
    assert found(detector, text, names=["Cora Lindqvist"]) == [("cora lindqvist", "PERSON"), ("Cora", "PERSON")]


def test_a_name_recognised_once_is_found_through_the_whole_conversation(detector):
    texts = ["This is Priya Natarajan speaking.", "ok priya natarajan, thanks", "Natarajan, yes"]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[t[s.start : s.end] for s in own] for t, own in zip(texts, spans, strict=True)] == [
        ["Priya Natarajan"],
        ["priya natarajan"],
        ["Natarajan"],
    ]


def test_names_of_products_are_left(detector):
    text = "Mossbeck sent a Nibble to Rustle in London"
    assert found(detector, text, things=["Mossbeck", "Nibble", "Rustle"]) == [("London", "LOCATION")]


def test_a_conversation_does_not_change_what_is_found_in_another(detector):
    one, two = ["This is Priya Natarajan"], ["Natarajan, my 14 Elm Street"]
    alone = [detector.find([c], names=[[]], things=[[]])[0] for c in (one, two)]
    assert detector.find([one, two], names=[[], []], things=[[], []]) == alone


def test_a_very_long_text_is_read_to_its_end(detector, monkeypatch):
    assert detector._nlp.max_length >= pii.MAX_CHARS
    monkeypatch.setattr(pii, "MAX_CHARS", 1_000)
    # spaCy refuses a longer piece.
    monkeypatch.setattr(detector._nlp, "max_length", 1_000)
    text = "word " * 1_500 + "This is Maria Lopez in London speaking, mail cora@example.com"
    assert found(detector, text)[-3:] == [
        ("Maria Lopez", "PERSON"), ("London", "LOCATION"), ("cora@example.com", "EMAIL"),
    ]


def test_patterns_do_not_slow_down_on_a_very_long_text(detector):
    text = "word 12 " * 25_000 + "mail cora@example.com"
    began = time.process_time()
    assert list(detector._patterns(text))[-1].type == "EMAIL"
    assert time.process_time() - began < 5


def test_of_overlapping_findings_the_surer_and_then_the_longer_wins():
    text = "Anna 4111111111111111 Bee"
    assert _resolved(
        text,
        [
            _Found(0, 25, "PERSON", 0.85, 1),
            _Found(5, 15, "PHONE", 0.9, 2),
            _Found(5, 21, "CARD", 1.0, 3),
        ],
    ) == [PiiSpan(5, 21, "CARD", 1.0)]
    assert _resolved("Anna Bee", [_Found(0, 4, "PERSON", 0.85, 1), _Found(0, 8, "PERSON", 0.85, 1)]) == [
        PiiSpan(0, 8, "PERSON", 0.85)
    ]


def test_finding_loads_no_torch():
    code = (
        "import sys; from provenance.pii import default_detector\n"
        "assert default_detector().find([['Priya Natarajan lives in London']], names=[[]], things=[[]])[0][0]\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


def test_more_than_68_tickets_of_36_words_are_read_in_a_second_of_work(detector):
    ticket = (
        "Hello, this is Maria Keller from Leeds. My order 4821 came without the blue lamp that I paid for on Monday, "
        "so please send it to 14 Elm Street or call me on +44 7700 900123. Thanks, Maria"
    )
    assert len(ticket.split()) >= 36
    texts = [[f"{ticket} {n}"] for n in range(200)]
    started = time.process_time()
    detector.find(texts, names=[[]] * 200, things=[[]] * 200)
    assert 200 / (time.process_time() - started) > 68
