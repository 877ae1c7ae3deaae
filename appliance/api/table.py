"""Every route of the admin API, in one list."""

from __future__ import annotations

from appliance.api import (
    audit,
    authority,
    bindings,
    clusters,
    credentials,
    machines,
    me,
    people,
    policies,
    providers,
    questions,
    requests,
    review,
    revocations,
    roles,
    sessions,
    trust,
    webhooks,
    wishes,
)
from appliance.api.routes import Route

ROUTES: tuple[Route, ...] = (
    *clusters.ROUTES,
    *people.ROUTES,
    *machines.ROUTES,
    *trust.ROUTES,
    *roles.ROUTES,
    *bindings.ROUTES,
    *policies.ROUTES,
    *requests.ROUTES,
    *questions.ROUTES,
    *review.ROUTES,
    *credentials.ROUTES,
    *revocations.ROUTES,
    *audit.ROUTES,
    *providers.ROUTES,
    *sessions.ROUTES,
    *me.ROUTES,
    *wishes.ROUTES,
    *webhooks.ROUTES,
    *authority.ROUTES,
)
