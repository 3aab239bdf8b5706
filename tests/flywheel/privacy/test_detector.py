"""The real detector on what it must find, what it must leave, and how quick it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flywheel.privacy import detector as detector_module
from flywheel.privacy.detector import PiiSpan, PresidioDetector, _Found, _resolved, default_detector
from tests.sweeps import check_each

# The real pipeline: four seconds to import and to load, in the one process that runs all of them.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def detector() -> PresidioDetector:
    return default_detector()  # type: ignore[return-value]


def found(detector, text, names=(), things=()):
    spans = detector.find([[text]], names=[list(names)], things=[list(things)])[0][0]
    return [(text[s.start : s.end], s.type) for s in spans]


FOUND: list[tuple[str, list[tuple[str, str]]]] = [
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
("i was born on the third of May 1985", [("third of May 1985", "BIRTHDATE")]),
("my date of birth is 3/5/85", [("3/5/85", "BIRTHDATE")]),
("date of birth (dd/mm/yyyy): 3-May-1985", [("3-May-1985", "BIRTHDATE")]),
("dob 03051985 or born in may 1985", [("03051985", "BIRTHDATE"), ("may 1985", "BIRTHDATE")]),
("born on may third nineteen eighty five", [("may third nineteen eighty five", "BIRTHDATE")]),
("born the twenty-first of june two thousand and one", [
    ("twenty-first of june two thousand and one", "BIRTHDATE"),
]),
("date of birth is five three eighty five", [("five three eighty five", "BIRTHDATE")]),
("my date of\nbirth is 3 5 85", [("3 5 85", "BIRTHDATE")]),
("The 3rd of May 1985 is my birthday", [("3rd of May 1985", "BIRTHDATE")]),
("my birthday is May 3rd", [("May 3rd", "BIRTHDATE")]),
("write to @jana_kovac, or @jana.kovac.", [("@jana_kovac", "HANDLE"), ("@jana.kovac", "HANDLE")]),
("(@４2jana) jana @ gmail.com", [("@４2jana", "HANDLE"), ("jana @ gmail.com", "EMAIL")]),
("my name is jana kovac", [("jana kovac", "PERSON")]),
('my name is: "jana  kovac" or My name is Dr. Ana Roe', [("jana  kovac", "PERSON"), ("Ana Roe", "PERSON")]),
("hello, this is jana kovac, i wait", [("jana kovac", "PERSON")]),
("Name's jana, name: x", [("jana", "PERSON")]),
("hi, this is jana from the billing team", [("jana", "PERSON")]),
("this is jan van der berg calling", [("jan van der berg", "PERSON")]),
("i'm ahmed from support", [("ahmed", "PERSON")]),
("you are speaking with jana", [("jana", "PERSON")]),
("My daughter (Kerensa) and my late husband Tristam Oakes", [
    ("Kerensa", "PERSON"), ("Tristam Oakes", "PERSON"),
]),
("full name: jana kovac\n", [("jana kovac", "PERSON")]),
("Our flat in London is cold", [("London", "LOCATION")]),
("call +44\u00a07700\u00a0900123 today", [("+44\u00a07700\u00a0900123", "PHONE")]),
("call 425\u2011555\u20110133", [("425\u2011555\u20110133", "PHONE")]),
("card \uff14111 1111 1111 1111", [("\uff14111 1111 1111 1111", "CARD")]),
("at 14\u202fElm\u00a0Street", [("14\u202fElm\u00a0Street", "ADDRESS")]),
("send it to 14 Elm Street. Or to 3 Oak St. Louis", [("14 Elm Street", "ADDRESS"), ("3 Oak St.", "ADDRESS")]),
("I live at 14 Elm\nStreet in town", [("14 Elm\nStreet", "ADDRESS")]),
("cora\uff20example.com", [("cora\uff20example.com", "EMAIL")]),
("to jane@müller.de", [("jane@müller.de", "EMAIL")]),
("jane dot doe at example dot co dot uk", [("jane dot doe at example dot co dot uk", "EMAIL")]),
("see example.com/account/jane.", [("example.com/account/jane", "URL")]),
("iban gb82 west 1234 5698 7654 32 ok", [("gb82 west 1234 5698 7654 32", "IBAN")]),
("mon numéro : 06 12 34 56 78", [("06 12 34 56 78", "PHONE")]),
("ring 98765 43210 or (0)7700 900123", [("98765 43210", "PHONE"), ("(0)7700 900123", "PHONE")]),
("it is 4 2 5 5 5 5 0 1 3 3", [("4 2 5 5 5 5 0 1 3 3", "NUMBER")]),
("DNI 12345678Z and NIE X1234567L", [("12345678Z", "ID"), ("X1234567L", "ID")]),
("codice fiscale rssmra85t10a562s", [("rssmra85t10a562s", "ID")]),
("Steuer-ID 86095742719, Personalausweis L01X00T47", [("86095742719", "ID"), ("L01X00T47", "ID")]),
("aadhaar 2341 2341 2346", [("2341 2341 2346", "ID")]),
("number plate AB12 CDE", [("AB12 CDE", "ID")]),
("mine is ABCPE1234F", [("ABCPE1234F", "ID")]),
("MAC 00:1B:44:11:3A:B7", [("00:1B:44:11:3A:B7", "ID")]),
("cvv 123, my password is hunter2.", [("123", "SECRET"), ("hunter2", "SECRET")]),
("12 rue de la Paix", [("12 rue de la Paix", "ADDRESS")]),
("it is fourteen Elm Street", [("fourteen Elm Street", "ADDRESS")]),
("this is siobhan o'neill speaking", [("siobhan o'neill", "PERSON")]),
("Mr Okonkwo called", [("Okonkwo", "PERSON")]),
("Hello Björn,\nthanks", [("Björn", "PERSON")]),
("It works. Thanks,\nPriya", [("Priya", "PERSON")]),
("From: Aoife Ní Bhriain\nto you", [("Aoife Ní Bhriain", "PERSON")]),
]


def test_personal_data_is_found_as_what_it_is(detector):
    def check(case: tuple[str, list[tuple[str, str]]]) -> None:
        text, expected = case
        assert found(detector, text) == expected

    check_each(FOUND, check)


LEFT = [
    "Order 48213377 from 2024-05-01 cost $1,299.00, tracking 1Z999AA10123456784.",
    "The card 4111 1111 1111 1112 has a wrong digit, version 3.11.7 too.",
    "I waited three days and two nights, one of them outside.",
    "On Monday 5 May at half past nine we called Microsoft and a German colleague.",
    "My Nibble stopped; the Rustle works. An Iced Latte, please.",
    "Hi! Thanks. Will you mark it as done? May I ask? OK.",
    "It is at 100 percent after 2 hours, 15 minutes and 3 restarts.",
    "My passport is lost since 2020 days, and my pin is not working; the password was wrong 3 times.",
    "Hi There,\nthe card was declined.\nThanks Everyone\n",
    "Dear Customer Service,\nOrder 12\n\n500 units.\nBest regards",
    "Steps 1, 2, 3, 4, 5, 6 and 7 of 12. Ratio 3/4, and/or 5/6.",
    "My name is not spelled right. The order number is 4821337755 and call 3 failed.",
    "This is different from that; it's far from good. This is coming from you, i'm going from here.",
    "Hello this is very urgent. Hi, this is taking ages! Good morning, this is not right, hi this is customer care.",
    "My name is under the reservation and the name is just different. My name is misspelled.",
    "I was speaking with someone, then talking to your agent. Speaking with him helped.",
    "Come @ 5pm, @here, @home, 2 @ 3.50. I was born to wait. This is a birthday gift for one.",
    "My son (The younger one) and my wife I'm fine, my boss Not me, our neighbour, Sure.",
    "Event name is unknown. On the third of May 1985 it was built; may 3 people come?",
"<EMAIL_1> wrote to <PERSON_2> from <LOCATION_1>.",
    "",
]


def test_what_is_not_personal_data_is_left(detector):
    def check(text: str) -> None:
        assert found(detector, text) == []

    check_each(LEFT, check)


def test_a_known_name_is_found_in_whole_and_in_part(detector):
    text = "hi this is cora lindqvist. Regards, Cora. The corals are fine."
    assert found(detector, text, names=["Cora Lindqvist"]) == [("cora lindqvist", "PERSON"), ("Cora", "PERSON")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("jana kovac", "hi jana kovac here, Jana", ["jana kovac", "Jana"]),
        ("王小明", "我是王小明，订单没到", ["王小明"]),
        ("محمد علي", "أنا محمد علي", ["محمد علي"]),
        ("प्रिया शर्मा", "मैं प्रिया शर्मा हूँ", ["प्रिया शर्मा"]),
        ("mark", "mark it as done", []),
    ],
)
def test_a_known_name_is_found_in_small_letters_and_in_scripts_without_capitals(detector, name, text, expected):
    assert [value for value, _ in found(detector, text, names=[name])] == expected


def test_a_name_recognised_once_is_found_through_the_whole_conversation(detector):
    texts = ["This is Priya Natarajan speaking.", "ok priya natarajan, thanks", "Natarajan, yes"]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[t[s.start : s.end] for s in own] for t, own in zip(texts, spans, strict=True)] == [
        ["Priya Natarajan"],
        ["priya natarajan"],
        ["Natarajan"],
    ]


def test_who_answers_a_call_is_a_person_whatever_the_model_takes_the_name_for(detector):
    assert found(detector, "Thanks for calling, Ines speaking, hello!") == [("Ines", "PERSON")]
    assert found(detector, "Generally speaking, it works.") == []


def test_somebody_who_says_the_name_without_capitals_is_found_again_without(detector):
    texts = ["my name is jana kovac", "thanks jana!", "Jana, or KOVAC", "janas"]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[t[s.start : s.end] for s in own] for t, own in zip(texts, spans, strict=True)] == [
        ["jana kovac"], ["jana"], ["Jana", "KOVAC"], [],
    ]


def test_a_name_that_is_an_everyday_word_does_not_take_the_word_away(detector):
    texts = ["my name is mark", "please mark it as done"]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [len(own) for own in spans] == [1, 0]


def test_the_answer_to_who_asked_for_a_date_of_birth_is_one(detector):
    texts = ["Can I have your date of birth please?", "Sure, the 3rd of May 1985.", "It came on 4 May 2026."]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[(t[s.start : s.end], s.type) for s in own] for t, own in zip(texts, spans, strict=True)] == [
        [], [("3rd of May 1985", "BIRTHDATE")], [],
    ]


def test_a_name_that_a_greeting_gives_is_found_through_the_whole_conversation(detector):
    texts = ["Hello Björn,\nit is on its way.", "Tell Björn that it came."]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[t[s.start : s.end] for s in own] for t, own in zip(texts, spans, strict=True)] == [["Björn"], ["Björn"]]


def test_what_is_found_once_is_found_wherever_it_stands_again(detector):
    texts = ["born 4 March 1961", "noted: 4 March 1961, account number 12345678", "12345678 and 4 march 1961, not 123456789"]
    spans = detector.find([texts], names=[[]], things=[[]])[0]
    assert [[(t[s.start : s.end], s.type) for s in own] for t, own in zip(texts, spans, strict=True)] == [
        [("4 March 1961", "BIRTHDATE")],
        [("4 March 1961", "BIRTHDATE"), ("12345678", "ACCOUNT")],
        [("12345678", "ACCOUNT"), ("4 march 1961", "BIRTHDATE")],
    ]


def test_names_of_products_are_left(detector):
    text = "Mossbeck sent a Nibble to Rustle in London"
    assert found(detector, text, things=["Mossbeck", "Nibble", "Rustle"]) == [("London", "LOCATION")]
    assert found(detector, "this is mossbeck calling, or @mossbeck", things=["Mossbeck"]) == []


def test_a_conversation_does_not_change_what_is_found_in_another(detector):
    one, two = ["This is Priya Natarajan"], ["Natarajan, my 14 Elm Street"]
    alone = [detector.find([c], names=[[]], things=[[]])[0] for c in (one, two)]
    assert detector.find([one, two], names=[[], []], things=[[], []]) == alone


def test_a_very_long_text_is_read_to_its_end(detector, monkeypatch):
    assert detector._nlp.max_length >= detector_module.MAX_CHARS
    monkeypatch.setattr(detector_module, "MAX_CHARS", 1_000)
    # spaCy refuses a longer piece.
    monkeypatch.setattr(detector._nlp, "max_length", 1_000)
    text = "word " * 1_500 + "This is Maria Lopez in London speaking, mail cora@example.com"
    assert found(detector, text)[-3:] == [
        ("Maria Lopez", "PERSON"), ("London", "LOCATION"), ("cora@example.com", "EMAIL"),
    ]


@pytest.mark.parametrize(
    "piece",
    ["word 12 ", "a-", "a.b.", "Dear Word ", "four ", "1 ", "\n", "rue de la ", "x@", "Elm ", "born ", "may ",
             "one ", "this is ", "my name is a ", "@a.", "a @ ", "name: a "]
)
@pytest.mark.timeout(120)
def test_patterns_do_not_slow_down_on_a_very_long_text(detector, piece):
    text = piece * (200_000 // len(piece)) + " mail cora@example.com"
    assert "EMAIL" in {one.type for one in detector._patterns(text)}
    detector._salutes(text)


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
        "import sys; from flywheel.privacy.detector import default_detector\n"
        "assert default_detector().find([['Priya Natarajan lives in London']], names=[[]], things=[[]])[0][0]\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
