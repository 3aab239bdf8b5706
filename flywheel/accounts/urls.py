"""Pages."""

from django.urls import path

from flywheel.accounts.views import account, people, tokens

app_name = "accounts"

urlpatterns = [
    path("account/", account.account, name="account"),
    path("people/", people.listing, name="people"),
    path("people/new/", people.create, name="person_new"),
    path("people/<int:pk>/", people.detail, name="person"),
    path("people/<int:pk>/deactivate/", people.deactivate, name="person_deactivate"),
    path("people/<int:pk>/activate/", people.activate, name="person_activate"),
    path("people/<int:pk>/password/", people.password_reset, name="person_password"),
    path("people/<int:pk>/projects/", people.project_add, name="membership_add"),
    path("people/<int:pk>/projects/<int:membership_id>/remove/", people.project_remove, name="membership_remove"),
    path("tokens/", tokens.listing, name="tokens"),
    path("tokens/<str:token_key>/revoke/", tokens.revoke, name="token_revoke"),
]
