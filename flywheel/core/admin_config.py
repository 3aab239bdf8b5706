"""Which site Django's admin is. A separate module, because Django looks for one default configuration in `apps`."""

from django.contrib.admin.apps import AdminConfig


class SuperuserAdminConfig(AdminConfig):
    """The admin with a site that only superusers enter."""

    default_site = "flywheel.core.admin_site.SuperuserAdminSite"
