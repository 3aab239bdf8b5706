"""The shipped sample keeps the shape, the variety and the safety that its README states. Plain files, no database."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import flywheel.capture
from tests.sweeps import check_each

SAMPLE = Path(flywheel.capture.__file__).parent / "sample"
LABELS = {"delivery", "returns", "warranty", "billing", "setup", "repair", "product_question", "complaint"}
PURPOSES = {"sft", "preference", "continued_pretraining", "evaluation"}
STATES = {"ConsentGiven", "RenewedConsentGiven", "ConsentRefused", "ConsentWithdrawn"}
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(r"(?<!\d)\+?\d[\d ()-]{6,}\d")
CARD = re.compile(r"(?<![\d-])(?:\d[ ]?){14,15}\d(?![\d-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: [A-Z0-9]{1,3})?\b")
FICTIONAL_NUMBER = re.compile(
    r"GB999999973|\+44 7700 900\d{3}|07700 900\d{3}|020 7946 0\d{3}|(?:\(425\) )?555-01\d\d|\+33 1 99 00 \d\d \d\d"
)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]


TICKETS = rows("tickets.jsonl")
CALLS = rows("calls.jsonl")
CONSENTS = rows("consents.jsonl")
ANSWERS = rows("answers.jsonl")
SOURCES = json.loads((SAMPLE / "sources.json").read_text(encoding="utf-8"))


def key(row: dict[str, Any]) -> tuple[str, str]:
    return row["source"], row["external_id"]


def spoken(row: dict[str, Any]) -> str:
    parts = row.get("messages") or row["segments"]
    return "\n".join(part["text"] for part in parts)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def luhn_holds(number: str) -> bool:
    digits = [int(char) for char in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def iban_holds(iban: str) -> bool:
    compact = iban.replace(" ", "")
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def test_there_are_enough_tickets_and_calls_with_unique_names() -> None:
    assert len(TICKETS) >= 160
    assert len(CALLS) >= 22
    keys = [key(row) for row in TICKETS + CALLS]
    assert len(set(keys)) == len(keys)


def test_the_readme_counts_what_is_there() -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for name, found in (("tickets", TICKETS), ("calls", CALLS), ("consents", CONSENTS), ("answers", ANSWERS)):
        line = next(line for line in readme.splitlines() if line.startswith(f"| `{name}.jsonl`"))
        assert line.endswith(f"| {len(found)} |")


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 600_000


def test_every_row_comes_from_a_declared_source_and_licences_differ() -> None:
    names = {source["name"] for source in SOURCES}
    assert {row["source"] for row in TICKETS + CALLS} == names
    assert {source["license"] for source in SOURCES} == {"CC-BY-4.0", "CC-BY-NC-4.0"}
    for source in SOURCES:
        assert source["consent_policy"] == "explicit"
        assert set(source["purposes"]) | set(source["prohibited_purposes"]) <= PURPOSES


def test_a_ticket_has_the_capture_format() -> None:
    def check(row: dict[str, Any]) -> None:
        assert row["label"] in LABELS
        assert row["subject"].strip()
        assert isinstance(row["version"], str)
        assert re.fullmatch(r"cus_\d{4}", row["customer"]["ref"])
        assert row["messages"][0]["role"] == "customer"
        times = [instant(message["at"]) for message in row["messages"]]
        assert times == sorted(times)
        assert {time.year for time in times} <= {2025, 2026}
        for message in row["messages"]:
            assert message["role"] in {"customer", "agent", "note"}
            assert message["text"].strip()
            assert (message["author"] == row["customer"]["name"]) == (message["role"] == "customer")

    check_each(TICKETS, check, name=lambda row: str(row["external_id"]))


def test_a_call_has_the_capture_format_and_time_runs_forward() -> None:
    def check(row: dict[str, Any]) -> None:
        assert row["label"] in LABELS
        assert row["channels"] == 2
        assert instant(row["started_at"]).year in {2025, 2026}
        assert 6 <= len(row["segments"]) <= 20
        end = 0
        for segment in row["segments"]:
            assert segment["speaker"] in {"agent", "customer"}
            assert end <= segment["start_ms"] < segment["end_ms"]
            assert 0 < segment["confidence"] <= 1
            end = segment["end_ms"]

    check_each(CALLS, check, name=lambda row: str(row["external_id"]))


def test_tickets_vary_in_topic_length_and_turns() -> None:
    labels = Counter(row["label"] for row in TICKETS)
    assert min(labels[label] for label in LABELS) >= 12
    lengths = sorted(len(row["messages"][0]["text"]) for row in TICKETS)
    assert lengths[0] < 40
    assert lengths[-1] > 600
    assert sum(len(row["messages"]) >= 3 for row in TICKETS) >= 20
    assert sum(any(message["role"] == "note" for message in row["messages"]) for row in TICKETS) >= 8
    assert sum(row["messages"][-1]["role"] == "customer" for row in TICKETS) >= 8
    text = "\n".join(spoken(row) + row["subject"] for row in TICKETS)
    names = " ".join(row["customer"]["name"] for row in TICKETS)
    assert [curiosity for curiosity in ("<b>", "=SUM(A1", "\n> ", "🌼") if curiosity not in text] == []
    assert {"É", "ř", "ü", "ó"} <= set(names)


def test_some_customers_come_more_than_once_under_one_name() -> None:
    names: dict[str, str] = {}
    for row in TICKETS + CALLS:
        assert names.setdefault(row["customer"]["ref"], row["customer"]["name"]) == row["customer"]["name"]
    assert len(names) >= 100
    visits = Counter(row["customer"]["ref"] for row in TICKETS + CALLS)
    assert sum(count > 1 for count in visits.values()) >= 30


def test_every_conversation_has_one_answer_in_the_house_tone() -> None:
    assert sorted(map(key, ANSWERS)) == sorted(map(key, TICKETS + CALLS))
    for answer in ANSWERS:
        reply = answer["reply"]
        assert reply.startswith("Hello from Mossbeck! "), reply
        assert "\n\nOur promise: " in reply, reply
        assert "\n\nNext steps:\n1. " in reply, reply
        assert reply.endswith("\n\nKeep it growing,\nyour Mossbeck crew"), reply
        assert 40 <= len(reply.split()) <= 110, reply
        assert answer["quality"] in {"good", "needs_work", "bad"}
    assert min(Counter(answer["quality"] for answer in ANSWERS).values()) >= 25
    assert 1 <= sum("skip" in answer for answer in ANSWERS) <= 6


def test_answers_are_written_for_their_ticket_and_not_from_a_mould() -> None:
    opening = Counter(answer["reply"].split("\n", 1)[0] for answer in ANSWERS)
    assert len(opening) >= len(ANSWERS) - 12
    promises = {answer["reply"].split("\n\n")[1] for answer in ANSWERS}
    assert len(promises) >= 150


def test_no_answer_holds_personal_data() -> None:
    people = {row["customer"]["name"] for row in TICKETS + CALLS}
    people |= {message["author"] for row in TICKETS for message in row["messages"]}
    for answer in ANSWERS:
        assert not EMAIL.search(answer["reply"])
        assert not PHONE.search(answer["reply"])
        assert not IBAN.search(answer["reply"])
        assert not any(person in answer["reply"] for person in people)


def test_personal_data_is_plentiful_and_fictional() -> None:
    holders = 0
    cards: set[str] = set()
    ibans: set[str] = set()
    for row in TICKETS + CALLS:
        text = f"{row.get('subject', '')}\n{spoken(row)}"
        mails, phones = EMAIL.findall(text), FICTIONAL_NUMBER.findall(text)
        found_ibans = IBAN.findall(text)
        rest = IBAN.sub(" ", text)
        found_cards = [re.sub(r"\D", "", card) for card in CARD.findall(rest)]
        assert all(re.search(r"(^|[@.])example\.(com|org|net)$", mail) for mail in mails), mails
        rest = FICTIONAL_NUMBER.sub(" ", CARD.sub(" ", rest))
        assert not [hit for hit in PHONE.findall(rest) if len(re.sub(r"\D", "", hit)) >= 9], rest
        cards.update(found_cards)
        ibans.update(found_ibans)
        holders += bool(mails or phones or found_cards or found_ibans)
    assert holders >= 40
    assert len(cards) >= 4
    assert all(luhn_holds(card) for card in cards)
    assert len(ibans) >= 3
    assert all(iban_holds(iban) for iban in ibans)


def test_at_least_eight_tickets_nearly_repeat_an_earlier_one() -> None:
    texts = [spoken(row) for row in TICKETS]
    repeats = 0
    for index, text in enumerate(texts):
        for earlier in texts[:index]:
            matcher = SequenceMatcher(None, earlier, text, autojunk=False)
            if matcher.real_quick_ratio() > 0.9 and matcher.quick_ratio() > 0.9 and matcher.ratio() > 0.9:
                repeats += 1
                break
    assert 8 <= repeats <= 20


def test_consents_belong_to_customers_and_are_well_formed() -> None:
    customers = {row["customer"]["ref"] for row in TICKETS + CALLS}
    namespaces = {source["subject_namespace"] for source in SOURCES}
    refs = [consent["subject_ref"] for consent in CONSENTS]
    assert set(refs) < customers
    assert len({consent["record_id"] for consent in CONSENTS}) == len(CONSENTS)
    for consent in CONSENTS:
        assert consent["namespace"] in namespaces
        assert consent["purposes"]
        assert set(consent["purposes"]) <= PURPOSES
        assert consent["lawful_basis"] == "eu-gdpr:A6-1-a"
        times = [instant(event["event_time"]) for event in consent["events"]]
        assert times == sorted(times)
        assert times
        for event in consent["events"]:
            assert event["event_state"] in STATES
            assert event["entity_id"] == consent["subject_ref"]
            assert event["validity_duration"] is None or re.fullmatch(r"P\d+[YM]", event["validity_duration"])


def test_the_gate_will_find_every_kind_of_refusal_and_clear_about_four_fifths() -> None:
    live = set()
    states: Counter[str] = Counter()
    for consent in CONSENTS:
        newest = consent["events"][-1]
        states[newest["event_state"]] += 1
        expired = newest["validity_duration"] == "P6M"
        states["expired"] += expired
        states["evaluation only"] += consent["purposes"] == ["evaluation"]
        if newest["event_state"] in {"ConsentGiven", "RenewedConsentGiven"} and not expired:
            live |= {consent["subject_ref"]} if "sft" in consent["purposes"] else set()
    assert states["ConsentRefused"] >= 3
    assert states["ConsentWithdrawn"] >= 3
    assert states["expired"] >= 2
    assert states["evaluation only"] >= 3
    assert len({row["customer"]["ref"] for row in TICKETS + CALLS} - {c["subject_ref"] for c in CONSENTS}) >= 10
    skipped = {key(answer) for answer in ANSWERS if "skip" in answer}
    commercial = {source["name"] for source in SOURCES if "-NC-" not in source["license"]}
    cleared = [
        row
        for row in TICKETS + CALLS
        if row["customer"]["ref"] in live and row["source"] in commercial and key(row) not in skipped
    ]
    assert 0.74 <= len(cleared) / len(TICKETS + CALLS) <= 0.82


def test_the_companys_own_words_are_listed_and_used() -> None:
    text = "\n".join(map(spoken, TICKETS + CALLS)) + "\n".join(answer["reply"] for answer in ANSWERS)
    terms = json.loads((SAMPLE / "terms.json").read_text(encoding="utf-8"))
    assert [term for term in terms if term not in text] == []
