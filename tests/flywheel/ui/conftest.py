"""The finished turn that pages with navigation are tried on."""

from tests.flywheel.dashboard.conftest import member, project, source, turn  # noqa: F401
