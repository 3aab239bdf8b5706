"""The WSGI entry point: Django, with every request's body read to its end."""

import os

from django.core.wsgi import get_wsgi_application

from flywheel.core.bodies import BodyReader

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flywheel.settings.dev")

application = BodyReader(get_wsgi_application())
