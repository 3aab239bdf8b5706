"""manage.py ledger_verify and consent_import."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from provenance.models import ConsentRecord
from tests.flywheel.audit.test_ledger import _tamper, _three
from tests.provenance.conftest import consent_row

pytestmark = pytest.mark.django_db


def test_a_whole_ledger_says_so():
    _three()
    out = StringIO()
    call_command("ledger_verify", stdout=out)
    assert out.getvalue() == "ok: 3 entries, 0 signed heads\n"


def test_a_broken_ledger_exits_with_one_and_names_the_entry():
    _three()
    _tamper("UPDATE audit_ledgerentry SET actor = 'user:1' WHERE seq = 2")
    with pytest.raises(CommandError, match="entry 2") as caught:
        call_command("ledger_verify")
    assert caught.value.returncode == 1


def test_consent_is_imported_from_json_lines_again_and_again(tmp_path):
    file = tmp_path / "consent.jsonl"
    file.write_text("\n".join(json.dumps(consent_row(n)) for n in range(3)) + "\n\n")
    for expected in ("3 rows, 3 new records, 3 new events", "3 rows, 0 new records, 0 new events"):
        out = StringIO()
        call_command("consent_import", str(file), stdout=out)
        assert expected in out.getvalue()
    assert ConsentRecord.objects.count() == 3


@pytest.mark.parametrize(("content", "says"), [
    ("{", "line 1 is not JSON"), ('{"namespace": "a"}', "row 1"), ("[]", "row 1"),
])
def test_a_bad_line_is_named(tmp_path, content, says):
    file = tmp_path / "consent.jsonl"
    file.write_text(content)
    with pytest.raises(CommandError, match=says):
        call_command("consent_import", str(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.jsonl"):
        call_command("consent_import", str(tmp_path / "nowhere.jsonl"))
