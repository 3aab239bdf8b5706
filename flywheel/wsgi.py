"""The WSGI entry point: Django, with every request's body read to its end, and HEAD answered without one."""

import os

from django.core.wsgi import get_wsgi_application

from flywheel.core.wsgi_body import BodyReader
from flywheel.core.wsgi_head import HeadOnly

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flywheel.settings.dev")

application = BodyReader(HeadOnly(get_wsgi_application()))
