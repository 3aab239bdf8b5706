#!/usr/bin/env bash
# A foreign key to django-rest-knox's token model: the migration that Django writes cannot be applied on SQLite.
#
# Guess: `makemigrations` writes a swappable dependency on knox's token model, so `migrate` orders the two apps and works.
# Seen with Django 5.2.19 and django-rest-knox 5.1.0: a swappable dependency means the *first* migration of knox, in
# which the token's primary key is another column than today. Django plans apps by name, so an app sorted before "knox"
# gets its table right after knox's first migration, and SQLite refuses a later change of the token table with "foreign
# key mismatch". An app sorted after "knox" works by luck. Depending on knox's last migration by hand always works.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check django==5.2.19 djangorestframework==3.18.3 django-rest-knox==5.1.0

mkdir -p accounts/migrations
touch accounts/__init__.py accounts/migrations/__init__.py
cat > settings.py <<'PY'
SECRET_KEY = "x" * 50
# The app with the foreign key comes first, as an installation's own apps usually do.
INSTALLED_APPS = ["accounts", "django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "knox"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
KNOX_TOKEN_MODEL = "knox.AuthToken"
PY
cat > accounts/models.py <<'PY'
from django.db import models
from knox.models import AuthToken


class TokenName(models.Model):
    token = models.OneToOneField(AuthToken, on_delete=models.CASCADE)
PY
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=.
manage() { env/bin/python -m django "$@"; }

manage makemigrations accounts -v0
grep -q 'swappable_dependency(settings.KNOX_TOKEN_MODEL)' accounts/migrations/0001_initial.py
if manage migrate -v0 > migrate.log 2>&1; then
  echo "changed: the generated migration applies now"
  exit 1
fi
grep -o 'foreign key mismatch.*' migrate.log | head -1

rm db.sqlite3
sed -i 's/migrations.swappable_dependency(settings.KNOX_TOKEN_MODEL)/("knox", "0009_extend_authtoken_field")/' accounts/migrations/0001_initial.py
manage migrate -v0
echo "as stated: the generated dependency fails, one on knox 0009 works"
