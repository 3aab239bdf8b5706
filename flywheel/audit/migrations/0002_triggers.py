"""Triggers that make ledger entries and their subjects append-only."""

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON audit_ledgerentry
FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_subject_no_change BEFORE UPDATE OR DELETE ON audit_ledgersubject
FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
"""

# Row triggers do not fire on TRUNCATE. These two are separate because tests truncate tables and drop them first.
POSTGRESQL_TRUNCATE = """
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON audit_ledgerentry
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_subject_no_truncate BEFORE TRUNCATE ON audit_ledgersubject
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
"""

SQLITE = (
    """CREATE TRIGGER ledger_no_update BEFORE UPDATE ON audit_ledgerentry
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_no_delete BEFORE DELETE ON audit_ledgerentry
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_subject_no_update BEFORE UPDATE ON audit_ledgersubject
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_subject_no_delete BEFORE DELETE ON audit_ledgersubject
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)


def protect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
        schema_editor.execute(POSTGRESQL_TRUNCATE)
    elif schema_editor.connection.vendor == "sqlite":
        for statement in SQLITE:
            schema_editor.execute(statement)


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER ledger_subject_no_truncate ON audit_ledgersubject")
        schema_editor.execute("DROP TRIGGER ledger_subject_no_change ON audit_ledgersubject")
        schema_editor.execute("DROP TRIGGER ledger_no_truncate ON audit_ledgerentry")
        schema_editor.execute("DROP TRIGGER ledger_no_change ON audit_ledgerentry")
        schema_editor.execute("DROP FUNCTION ledger_is_append_only()")
    elif schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER ledger_no_update")
        schema_editor.execute("DROP TRIGGER ledger_no_delete")
        schema_editor.execute("DROP TRIGGER ledger_subject_no_update")
        schema_editor.execute("DROP TRIGGER ledger_subject_no_delete")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunPython(protect, unprotect)]
