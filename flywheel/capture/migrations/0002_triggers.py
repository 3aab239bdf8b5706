"""The database itself refuses to change what was delivered. Only erasure may empty it."""

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION capture_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.payload <> OLD.payload AND NEW.payload <> '') OR NEW.payload_sha256 <> OLD.payload_sha256 THEN
    RAISE EXCEPTION 'a capture is immutable; deliver a new version' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER capture_no_change BEFORE UPDATE OF payload, payload_sha256 ON capture_capture
FOR EACH ROW EXECUTE FUNCTION capture_is_immutable();
"""

SQLITE = """CREATE TRIGGER capture_no_change BEFORE UPDATE OF payload, payload_sha256 ON capture_capture
WHEN (NEW.payload <> OLD.payload AND NEW.payload <> '') OR NEW.payload_sha256 <> OLD.payload_sha256
BEGIN SELECT RAISE(ABORT, 'a capture is immutable; deliver a new version'); END"""


def protect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
    elif schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(SQLITE)


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER capture_no_change ON capture_capture")
        schema_editor.execute("DROP FUNCTION capture_is_immutable()")
    elif schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER capture_no_change")


class Migration(migrations.Migration):
    dependencies = [("capture", "0001_initial")]

    operations = [migrations.RunPython(protect, unprotect)]
