"""The entity tag of each resource that can be changed: over what a change can change, and nothing that moves by itself.

So neither an agent that connects nor a credential that is revoked makes a change fail that has nothing to do with it.
"""

from __future__ import annotations

from appliance.core.access import RequestPolicy
from appliance.core.clusters import Cluster
from appliance.core.people import Person
from appliance.core.providers import Provider
from appliance.core.roles import Role
from appliance.core.versions import tag
from appliance.store import rows


def cluster(it: Cluster) -> str:
    return tag(it.id, it.name, it.labels)


def person(it: Person) -> str:
    return tag(it.id, it.email, it.groups, it.enabled)


def role(it: Role) -> str:
    return tag(*rows.role_values(it))


def policy(it: RequestPolicy) -> str:
    return tag(*rows.policy_values(it))


def provider(it: Provider) -> str:
    """Not over its client secret, which nobody reads."""
    return tag(*rows.provider_values(it))
