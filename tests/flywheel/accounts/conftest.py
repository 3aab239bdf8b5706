"""The dashboard's cast and project, for the accounts pages that list memberships."""

from tests.flywheel.dashboard.conftest import member, project, source  # noqa: F401
