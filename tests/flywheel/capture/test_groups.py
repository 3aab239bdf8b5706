"""Near-duplicates: they share a group with one head, whatever changes and however large the crowd is."""

from __future__ import annotations

import pytest

from flywheel.capture.domain import minhash
from flywheel.capture.models import Example, MinHashBand
from tests.flywheel.capture.conftest import deliver, ticket

pytestmark = pytest.mark.django_db

LAMP = "My lamp went dark after two days and the switch does nothing, please tell me how to return it to your shop."


def test_exact_and_near_duplicates_share_a_group_and_the_earliest_is_the_original(make_source):
    one, two = make_source("one"), make_source("two")
    late = ticket("late", LAMP)
    late["messages"][0]["at"] = "2025-05-01T00:00:00Z"
    deliver(one, late)
    deliver(two, ticket("early", LAMP.lower() + " thanks"), ticket("other", "An entirely different matter about shoes"))
    early = Example.objects.get(external_id="early")
    assert Example.objects.get(external_id="late").duplicate_of == early
    assert early.duplicate_of is None
    keys = dict(Example.objects.values_list("external_id", "group_key"))
    assert (
        keys["late"]
        == keys["early"]
        == min(Example.objects.exclude(external_id="other").values_list("uid", flat=True)).hex
    )
    assert keys["other"] != keys["early"]


def test_texts_that_differ_only_in_personal_data_are_duplicates(source):
    deliver(
        source, ticket("A", "Mail cora@example.com about my lamp"), ticket("B", "Mail dora@example.com about my lamp")
    )
    assert Example.objects.exclude(duplicate_of=None).count() == 1


def test_a_chain_of_near_texts_is_one_group_with_the_smallest_key(source):
    words = LAMP.split()
    texts = [" ".join([*words[: len(words) - i], *("other",) * i]) for i in range(0, 8, 2)]
    deliver(source, *(ticket(f"T-{i}", text) for i, text in enumerate(texts)))
    keys = set(Example.objects.values_list("group_key", flat=True))
    assert keys == {min(e.uid.hex for e in Example.objects.all())}
    assert Example.objects.filter(duplicate_of=None).count() == 1


def test_a_crowd_of_equal_texts_holds_its_bands_once(source):
    deliver(source, *(ticket(f"T-{n}", LAMP) for n in range(300)))
    assert MinHashBand.objects.values("example").distinct().count() == 1
    assert Example.objects.exclude(duplicate_of=None).count() == 299
    assert Example.objects.values("group_key").distinct().count() == 1


def test_a_changed_text_leaves_its_group_and_the_rest_finds_a_new_head(source):
    deliver(source, *(ticket(n, LAMP, version="1") for n in "ABC"))
    head = Example.objects.get(duplicate_of=None)
    deliver(source, ticket(head.external_id, "Something about shoes and laces and their colours", version="2"))
    head.refresh_from_db()
    rest = list(Example.objects.exclude(pk=head.pk))
    assert head.group_key == head.uid.hex
    assert {e.group_key for e in rest} == {min(e.uid.hex for e in rest)}
    assert sorted(e.duplicate_of is None for e in rest) == [False, True]


def test_the_head_of_a_crowd_changes_without_sketching_the_crowd_again(source, monkeypatch):
    deliver(source, *(ticket(f"T-{n:02d}", LAMP, version="1") for n in range(30)))
    head = Example.objects.get(duplicate_of=None)
    sketched = []
    digests = minhash.band_digests
    monkeypatch.setattr(minhash, "band_digests", lambda texts: sketched.extend(texts) or digests(texts))
    deliver(source, ticket(head.external_id, "Something about shoes and laces and their colours", version="2"))
    assert len(sketched) == 2
    assert Example.objects.filter(duplicate_of=None).count() == 2
    assert Example.objects.values("group_key").distinct().count() == 2


def test_a_huge_text_among_a_crowd_is_taken_apart_once_and_not_for_each_neighbour(source, monkeypatch):
    taken = []
    shingles = minhash.shingles
    monkeypatch.setattr(minhash, "shingles", lambda text: taken.append(len(text)) or shingles(text))
    alike = [ticket(f"T-{n:02d}", f"text {n} " + "word " * 30) for n in range(40)]
    deliver(source, ticket("T-long", "word " * 60_000), *alike)
    # Once for its bands and once to compare it.
    assert sum(length > minhash.COMPARED for length in taken) <= 2
    assert Example.objects.count() == 41


