"""The page: the routes of all views."""

from __future__ import annotations

from starlette.types import ASGIApp

from reconciler.control.control_service import ControlService
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.page.collector_view import CollectorView
from reconciler.web.page.consent_view import ConsentView
from reconciler.web.page.dialogue_view import DialogueView
from reconciler.web.page.form_view import FormView
from reconciler.web.page.list_actions import ListActions
from reconciler.web.page.list_view import ListView
from reconciler.web.page.login_view import LoginView
from reconciler.web.page.manifests_view import ManifestsView
from reconciler.web.page.page_routes import PageRoute, page_application
from reconciler.web.page.service_view import ServiceView
from reconciler.web.page.static_files import serve_static


def page(control: ControlService, rules: AccessRules) -> ASGIApp:
    """Return the page as an application."""
    return page_application(
        [
            *ListView(control).routes(),
            *ListActions(control).routes(),
            *CollectorView(control).routes(),
            *DialogueView(control).routes(),
            *FormView(control).routes(),
            *ConsentView(control, rules).routes(),
            *ManifestsView(control).routes(),
            *ServiceView(control).routes(),
            *LoginView(rules).routes(),
            PageRoute("GET", "/static/{digest}/{name}", serve_static, None),
        ]
    )
