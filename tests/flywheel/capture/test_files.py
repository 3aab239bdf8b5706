"""Files into captures: every format, every fault, killed and taken up again."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from flywheel.capture import services
from flywheel.capture.connectors import files
from flywheel.capture.models import Capture, Example, FileImport
from flywheel.capture.services import importing, ingest
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from tests.flywheel.capture.conftest import call, ticket

pytestmark = pytest.mark.django_db

TASKMASTER = [
    {
        "conversation_id": "dlg-1",
        "vertical": "Coffee",
        "scenario": "Auto template 12 order a coffee",
        "instructions": None,
        "utterances": [
            {"index": 0, "speaker": "user", "text": "one latte", "segments": []},
            {"index": 1, "speaker": "assistant", "text": "One latte.", "segments": []},
        ],
    }
]
SGD = [
    {
        "dialogue_id": "1_00000",
        "services": ["Restaurants_2", "Taxi_1"],
        "turns": [
            {"speaker": "USER", "utterance": "A table please", "frames": []},
            {"speaker": "SYSTEM", "utterance": "For how many?", "frames": []},
        ],
    }
]


@pytest.fixture
def write(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def load(path, source=None, **options):
    list(services.file_import(path=path, source=source, by=None, **options))
    return FileImport.objects.order_by("-pk").first()


def payloads():
    return [json.loads(p) for p in Capture.objects.order_by("pk").values_list("payload", flat=True)]


def test_taskmaster_dialogues_are_captured(write, source):
    done = load(write("data.json", json.dumps(TASKMASTER)), source)
    assert (done.format, done.rows_captured, done.rows_bad) == ("taskmaster4", 1, 0)
    payload = payloads()[0]
    assert payload["external_id"] == "dlg-1"
    assert [(m["role"], m["text"]) for m in payload["messages"]] == [("customer", "one latte"), ("agent", "One latte.")]
    assert payload["label"] == "order a coffee"


def test_schema_guided_dialogues_are_captured(write, source):
    done = load(write("dialogues.json", json.dumps(SGD)), source)
    assert done.format == "sgd"
    assert payloads()[0]["label"] == "Restaurants_2"
    assert [m["role"] for m in payloads()[0]["messages"]] == ["customer", "agent"]


def test_banking_questions_are_captured_and_the_same_question_once(write, source):
    done = load(
        write(
            "train.csv",
            'text,category\nWhere is my card?,card_arrival\n"Hi, you\nthere",hello\nWhere is my card?,card_arrival\n',
        ),
        source,
    )
    assert (done.format, done.rows_captured, done.rows_repeated) == ("banking77", 2, 1)
    assert payloads()[1]["messages"][0]["text"] == "Hi, you\nthere"
    assert payloads()[0]["label"] == "card_arrival"


def test_a_table_with_names_of_its_own_is_captured(write, source):
    body = "\ufeffexternal_id;subject;Message;reply;label;tags\r\nA-1;Lamp;It broke;Sorry;returns;x; \r\n".replace(
        "x; ", "x"
    )
    done = load(write("t.csv", body), source)
    assert (done.format, done.rows_captured) == ("table", 1)
    assert payloads()[0] == {
        "kind": "ticket",
        "external_id": "A-1",
        "subject": "Lamp",
        "label": "returns",
        "tags": ["x"],
        "messages": [{"role": "customer", "text": "It broke"}, {"role": "agent", "text": "Sorry"}],
    }


def test_our_own_lines_may_name_their_sources(write, make_source):
    make_source("acme")
    make_source("beta")
    done = load(write("t.jsonl", lines(ticket("A", source="acme"), call("B", source="beta"), ticket("C"))))
    assert (done.rows_captured, done.rows_bad, done.source) == (2, 1, None)
    assert done.bad_rows[0]["field"] == "source"


def test_a_list_and_a_single_object_in_our_own_form_are_captured(write, source):
    assert load(write("list.json", json.dumps([ticket("A"), call("B")])), source).rows_captured == 2
    assert load(write("one.json", json.dumps(ticket("C"), indent=2)), source).rows_captured == 1


def test_bad_rows_are_reported_by_line_and_do_not_keep_the_good_ones(write, source):
    path = write(
        "t.jsonl",
        lines(
            ticket("A"),
            "{broken",
            "",
            {"external_id": "x"},
            ticket("B", messages=[{"role": "x", "text": ""}]),
            "[1]",
            ticket("C"),
        ),
    )
    done = load(path, source)
    assert (done.rows_read, done.rows_captured, done.rows_bad) == (6, 2, 4)
    assert [bad["line"] for bad in done.bad_rows] == [2, 4, 5, 6]


def test_a_first_line_that_is_broken_is_reported_like_any_other(write, source):
    done = load(write("t.jsonl", lines("{broken", ticket("A"))), source)
    assert (done.rows_captured, done.bad_rows[0]["line"]) == (1, 1)


def test_bad_rows_of_a_table_are_reported_by_line(write, source):
    body = b'text,category\ngood,a\n"two\nlines",b\nno category\n,empty\ncaf\xe9,latin\n"open, quote\n'
    done = load(write("t.csv", body), source)
    assert done.rows_captured == 2
    assert [bad["line"] for bad in done.bad_rows] == [5, 6, 7, 8]
    assert "latin-1" in done.bad_rows[2]["reason"]


@pytest.mark.parametrize("open_cell", ['5,"not closed, x', '5,"x" y', '6,"', '"'])
def test_a_quote_that_is_not_closed_costs_its_own_line_only(write, source, open_cell):
    rows = ['external_id,message', "1,one", open_cell, "2,two", '3,"three', 'lines"', '4,"four ""quoted"""', "5,five"]
    done = load(write("t.csv", "\n".join(rows)), source)
    assert [bad["line"] for bad in done.bad_rows] == [3]
    assert [p["external_id"] for p in payloads()] == ["1", "2", "3", "4", "5"]


def test_a_quote_that_is_never_closed_again_keeps_no_later_row(write, source, monkeypatch):
    monkeypatch.setattr(files.reader, "MAX_RECORD", 3000)
    rows = "".join(f"{n},message {n}\n" for n in range(500))
    done = load(write("t.csv", f'external_id,message\nx,"open\n{rows}y,"open too\n'), source)
    assert (done.rows_captured, [bad["line"] for bad in done.bad_rows]) == (500, [2, 503])


def test_a_table_without_a_header_that_can_be_read_is_not_read_by_its_first_row(write, source):
    done = load(write("t.csv", 'message,"reply" x\nhello,bye\nagain,so\n'), source, format="table")
    assert (done.rows_captured, [bad["line"] for bad in done.bad_rows]) == (0, [1])


def test_line_ends_of_old_macs_are_named(write, source):
    with pytest.raises(ValidationFailed, match="CR alone"):
        load(write("t.csv", "message,label\rhello,x\rthere,y\r"), source)


def test_latin_1_is_read_when_it_is_asked_for(write, source):
    done = load(write("t.csv", b"text,category\ncaf\xe9,latin\n"), source, encoding="latin-1")
    assert (done.rows_captured, payloads()[0]["messages"][0]["text"]) == (1, "café")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        ("text,category\nx,y\n".encode("utf-16"), "UTF-16"),
        (b"name,age\nx,1\n", "column message or text"),
        (b'[{"service_name": "Alarm_1"}]', "has no known conversations"),
        (b'["card_arrival"]', "has no known conversations"),
        (b"[1, 2", "has no known conversations"),
        (b"{not json at all", "starts like JSON"),
        (b"PK\x03\x04 no zip", "not a complete zip"),
        (b"\x89PNG\r\n\x1a\n\x00", "has no known conversations"),
    ],
)
def test_a_file_without_conversations_is_named_with_the_reason(write, source, content, reason):
    with pytest.raises(ValidationFailed, match=reason):
        load(write("file.json", content), source)
    assert not Capture.objects.exists()


def test_a_list_that_breaks_off_keeps_what_came_before(write, source):
    done = load(write("t.json", json.dumps([ticket("A"), ticket("B")])[:-30]), source)
    assert (done.rows_captured, done.rows_bad) == (1, 1)
    assert "breaks off after record 1" in done.bad_rows[0]["reason"]


def test_a_list_with_something_else_in_it_reports_that(write, source):
    records = ",\n".join(json.dumps(record) for record in (ticket("A"), 5, None, TASKMASTER[0]))
    done = load(write("t.json", f"[\n{records}\n]"), source)
    assert (done.rows_captured, [bad["line"] for bad in done.bad_rows]) == (1, [3, 4, 5])


def test_a_line_that_is_too_long_is_reported(write, source, monkeypatch):
    monkeypatch.setattr(files.reader, "MAX_RECORD", 2000)
    done = load(write("t.jsonl", lines(ticket("A"), ticket("B", "x" * 5000), ticket("C"))), source)
    assert (done.rows_captured, done.bad_rows[0]["line"]) == (2, 2)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_zip_of_files_is_read(write, source):
    body = zipped(
        **{
            "a/t.jsonl": lines(ticket("A")),
            "b.csv": "text,category\nx y,z\n",
            "readme.md": "hello",
            "__MACOSX/._b.csv": "x",
        }
    )
    done = load(write("all.zip", body), source)
    assert done.rows_captured == 2
    assert done.format == "zip:banking77,flywheel"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"../out.csv": "text,category\n"}, "leads out of it"),
        ({"/abs.csv": "text,category\n"}, "leads out of it"),
        ({"a.txt": "x"}, "holds no .csv"),
        ({"bomb.csv": "0" * 20_000_000}, "times its size"),
    ],
)
def test_a_dangerous_zip_is_refused(write, source, members, reason):
    with pytest.raises(ValidationFailed, match=reason):
        load(write("all.zip", zipped(**members)), source)


def test_a_folder_is_read_and_other_files_in_it_are_skipped(write, source, tmp_path):
    write("set/data_00.json", json.dumps(TASKMASTER))
    write("set/schema.json", json.dumps([{"service_name": "x"}]))
    write("set/README.md", "hello")
    skipped = []
    list(services.file_import(path=tmp_path / "set", source=source, by=None, skipped=skipped.append))
    assert Capture.objects.count() == 1
    assert len(skipped) == 1
    assert "schema.json" in skipped[0]
    assert files.detect_format(tmp_path / "set") == "taskmaster4"


def test_a_second_run_adds_nothing(write, source):
    path = write("t.jsonl", lines(*(ticket(f"T-{n}") for n in range(5))))
    load(path, source)
    done = load(path, source)
    assert (FileImport.objects.count(), Capture.objects.count(), done.rows_read) == (1, 5, 5)


def test_an_import_that_was_killed_goes_on_where_it_was(write, source, monkeypatch):
    monkeypatch.setattr(ingest, "CHUNK_ROWS", 10)
    path = write("t.jsonl", lines(*(ticket(f"T-{n}") for n in range(35))))
    running = services.file_import(path=path, source=source, by=None)
    for _ in range(15):
        next(running)
    running.close()
    done = FileImport.objects.get()
    assert (done.position, done.finished_at) == (20, None)
    done = load(path, source)
    assert (done.rows_read, done.rows_captured, done.rows_repeated) == (35, 35, 0)
    assert done.finished_at is not None


def test_a_limit_stops_and_the_next_run_takes_the_rest(write, source):
    path = write("t.jsonl", lines(*(ticket(f"T-{n}") for n in range(10))))
    assert load(path, source, limit=4).finished_at is None
    assert Capture.objects.count() == 4
    assert load(path, source, limit=0).rows_read == 4
    assert load(path, source).rows_captured == 10


def test_the_command_tells_what_it_did_and_names_bad_lines(write, source, capsys):
    path = write("t.jsonl", lines(ticket("A"), "{broken", ticket("B")))
    call_command("capture_file", str(path), "--source", "acme", "--by", "ada")
    out = capsys.readouterr()
    assert "3 rows read, 2 captured, 0 repeated, 1 bad; finished" in out.out
    assert "line 2: this is not JSON" in out.err
    assert Capture.objects.first().received_by.username == "ada"


def test_the_command_says_that_a_file_was_read_before(write, source, capsys):
    path = write("t.jsonl", lines(ticket("A"), ticket("B")))
    call_command("capture_file", str(path), "--source", "acme")
    capsys.readouterr()
    call_command("capture_file", str(path), "--source", "acme")
    out = capsys.readouterr().out
    assert "all 2 rows were read" in out
    assert "nothing was added" in out
    assert "captured" not in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/nowhere.csv", "--source", "acme"], "does not exist"),
        (["PATH", "--source", "nobody"], "source 'nobody' does not exist"),
        (["PATH", "--source", "acme", "--by", "nobody"], "user .* does not exist"),
        (["PATH", "--source", "acme", "--limit", "-1"], "0 or more"),
        (["PATH", "--source", "acme", "--encoding", "klingon"], "klingon"),
    ],
)
def test_the_command_refuses_with_a_sentence(write, source, arguments, reason):
    path = str(write("t.csv", "text,category\nx,y\n"))
    with pytest.raises(CommandError, match=reason):
        call_command("capture_file", *[path if a == "PATH" else a for a in arguments])


def test_the_sample_loads_once(admin, capsys):
    call_command("sample_load")
    call_command("sample_load")
    call_command("capture_process")
    assert "212 captured, 0 repeated, 0 bad" in capsys.readouterr().out
    assert Capture.objects.count() == 212
    assert Example.objects.exclude(duplicate_of=None).count() >= 5
    assert not Capture.objects.filter(status="dead").exists()


# -- as jobs ---------------------------------------------------------------------------------------------------------
def test_an_import_is_a_job_that_ends_in_a_sentence(write, source):
    load(write("a.jsonl", lines(ticket(1), ticket(2), "no json")), source)
    job = Job.objects.get(kind="capture.import")
    assert (job.status, job.done, job.title) == ("done", 3, "Import a.jsonl")
    assert job.summary == "Read 3 rows: 2 captured, 0 repeated, 1 bad."
    assert job.link == f"/sources/{source.name}/"


def test_a_cancelled_import_stops_after_its_chunk_and_is_resumed_by_the_same_command(write, source, monkeypatch):
    monkeypatch.setattr(ingest, "CHUNK_ROWS", 2)
    path = write("a.jsonl", lines(*(ticket(n) for n in range(6))))
    outcomes = services.file_import(path=path, source=source, by=None)
    next(outcomes)
    Job.objects.filter(kind="capture.import").update(cancel_requested_at=timezone.now())
    with pytest.raises(Conflict, match="was cancelled"):
        list(outcomes)
    first = Job.objects.get(kind="capture.import")
    assert first.status == "cancelled"
    assert 0 < Capture.objects.count() < 6
    load(path, source)
    assert Capture.objects.count() == 6


def test_the_job_of_an_import_whose_process_died_says_how_to_go_on(write, source, monkeypatch):
    monkeypatch.setattr(importing, "job_end", lambda *args: False)
    load(write("a.jsonl", lines(ticket(1))), source)
    Job.objects.filter(kind="capture.import").update(claim_expires_at=timezone.now())
    jobs_drain()
    job = Job.objects.get(kind="capture.import")
    assert job.status == "failed"
    assert "run the same command again" in job.summary
