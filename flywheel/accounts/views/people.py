"""People, for admins: list, create, roles, memberships, one-time passwords, deactivation."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.services import membership_remove, membership_set
from flywheel.accounts import selectors, services
from flywheel.accounts.forms import MembershipForm, NewPersonForm, PersonForm
from flywheel.accounts.tables import PEOPLE
from flywheel.core.access import ROLES
from flywheel.core.errors import NotFound, UserError, ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User


@permitted("person.manage")
@require_GET
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """All people."""
    return render(request, "accounts/people.html", {"table": PEOPLE.page(request, selectors.people())})


@permitted("person.manage")
@never_cache
def create(request: AuthenticatedRequest) -> HttpResponse:
    """A form for a new person, and once it is sent, their one-time password."""
    form = NewPersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.person_create(actor=request.user, **form.cleaned_data)
        except ValidationFailed as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            # No redirect: the password exists in this response only, and a redirect would need it in a session or an
            # address.
            return render(request, "accounts/password_once.html", {"made": made, "is_new": True}, status=201)
    return render(request, "accounts/person_new.html", {"form": form}, status=422 if form.errors else 200)


def _person(pk: int) -> User:
    person = User.objects.filter(pk=pk).first()
    if person is None:
        raise NotFound(f"person {pk} does not exist")
    return person


@permitted("person.manage")
def detail(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """One person: name, roles, memberships, and what an admin can do to their account."""
    person = _person(pk)
    roles = list(person.groups.filter(name__in=ROLES).values_list("name", flat=True))
    form = PersonForm(request.POST or None, initial={"display_name": person.display_name, "roles": roles})
    if request.method == "POST" and form.is_valid():
        try:
            services.person_update(actor=request.user, user_id=pk, **form.cleaned_data)
        except UserError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"Saved. The roles of {_person(pk)} hold from now on.")
            return redirect("accounts:person", pk)
    context = {
        "person": person, "form": form, "memberships": selectors.memberships_of(person),
        "membership_form": MembershipForm(), "tokens": len(selectors.tokens_of(person)),
        "one_time_password": selectors.password_is_one_time(person),
    }
    return render(request, "accounts/person.html", context, status=422 if form.errors else 200)


@permitted("person.manage")
@require_POST
def deactivate(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Deactivate, confirmed by typing the user name."""
    person = _person(pk)
    # Typed, because it signs the person out everywhere and revokes their tokens for good.
    if request.POST.get("confirm", "").strip() != person.username:
        messages.error(request, f"Nothing was changed: type the user name '{person.username}' to confirm.")
        return redirect("accounts:person", pk)
    services.person_deactivate(actor=request.user, user_id=pk)
    messages.success(request, f"{person} is signed out everywhere and cannot sign in. Their work is kept.")
    return redirect("accounts:person", pk)


@permitted("person.manage")
@require_POST
def activate(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Let a person sign in again."""
    person = services.person_activate(actor=request.user, user_id=pk)
    messages.success(request, f"{person} can sign in again.")
    return redirect("accounts:person", pk)


@permitted("person.manage")
@require_POST
@never_cache
def password_reset(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Make a one-time password and show it once."""
    made = services.person_password_reset(actor=request.user, user_id=pk)
    return render(request, "accounts/password_once.html", {"made": made, "is_new": False})


@permitted("person.manage")
@require_POST
def project_add(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Add a person to a project."""
    form = MembershipForm(request.POST)
    if not form.is_valid():
        raise ValidationFailed("choose a project and a role; nothing was changed", field="project")
    made = membership_set(by=request.user, user=_person(pk), **form.cleaned_data)
    messages.success(request, f"Added to {made.project} as {made.get_role_display().lower()}.")
    return redirect(reverse("accounts:person", args=[pk]) + "#projects")


@permitted("person.manage")
@require_POST
def project_remove(request: AuthenticatedRequest, pk: int, membership_id: int) -> HttpResponse:
    """Take a person out of a project."""
    # Looked up among this person's, so an address cannot combine a person with another one's membership.
    membership = next((one for one in selectors.memberships_of(_person(pk)) if one.pk == membership_id), None)
    if membership is None:
        raise NotFound(f"this person has no membership {membership_id}")
    membership_remove(
        by=request.user, user=membership.user, project=membership.project, role=membership.role
    )
    messages.success(request, "Removed. What the person did there is kept.")
    return redirect(reverse("accounts:person", args=[pk]) + "#projects")
