"""PostgreSQL refuses to empty the ledger too: row triggers do not see TRUNCATE."""

from django.db import migrations

POSTGRESQL = """
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON provenance_ledgerentry
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
"""


def protect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER ledger_no_truncate ON provenance_ledgerentry")


class Migration(migrations.Migration):
    dependencies = [("provenance", "0002_ledger_append_only")]

    operations = [migrations.RunPython(protect, unprotect)]
