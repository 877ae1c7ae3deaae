"""Every route of the admin API, in one list."""

from __future__ import annotations

from appliance.api import audit, clusters, credentials, people, revocations, roles
from appliance.api.routes import Route

ROUTES: tuple[Route, ...] = (
    *clusters.ROUTES,
    *people.ROUTES,
    *roles.ROUTES,
    *credentials.ROUTES,
    *revocations.ROUTES,
    *audit.ROUTES,
)
