"""Units of work about identity providers. Issuer and slug are for life: people are known by the one, URLs by the other.

Whoever says who people are can become any of them, so a change needs `roles:escalate` beside `providers:write`.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.core.problems import Code, ProblemError, problem
from appliance.core.providers import Provider
from appliance.core.roles import Permission, Subject
from appliance.core.snapshot import Entity
from appliance.store import rows, statements, units
from appliance.store.granting import caller_rights, need
from appliance.store.sessions import Sealed
from appliance.store.unit import Unit, run


def add(by: Subject, provider: Provider, secret: Sealed | None, now: int) -> Unit[None]:
    yield from _allowed(by, now)
    yield from units.change(Entity.PROVIDER, provider.id, now)
    if not (yield run(statements.PROVIDER_ADD, *rows.provider_values(provider))):
        like = yield run(statements.PROVIDER_LIKE, provider.slug, provider.issuer)
        raise units.taken(Code.DUPLICATE_PROVIDER, provider.slug, like)
    yield from _seal(provider, secret, now)


def change(
    by: Subject, provider_id: str, edit: Callable[[Provider], Provider], secret: Sealed | None, now: int
) -> Unit[Provider]:
    """Everything but id, slug and issuer. A secret that is not given stays."""
    yield from _allowed(by, now)
    yield from units.change(Entity.PROVIDER, provider_id, now)
    edited = edit((yield from _found(provider_id)))
    values = rows.provider_values(edited)
    yield run(statements.PROVIDER_SET, provider_id, values[2], *values[4:7])
    yield from _seal(edited, secret, now)
    return edited


def remove(by: Subject, provider_id: str, now: int) -> Unit[Provider]:
    """Refused while somebody is known by it: a provider that came later under the same name would inherit them."""
    yield from _allowed(by, now)
    yield from units.change(Entity.PROVIDER, provider_id, now)
    provider = yield from _found(provider_id)
    ((people,),) = yield run(statements.PROVIDER_PEOPLE, provider.issuer)
    if people:
        raise ProblemError(problem(Code.PROVIDER_IN_USE))
    yield run(statements.PROVIDER_REMOVE, provider_id)
    yield run(statements.SEALED_REMOVE, provider.secret_name)
    return provider


def secret(provider: Provider) -> Unit[Sealed | None]:
    found = yield run(statements.SEALED, provider.secret_name)
    return Sealed(*found[0]) if found else None


def _allowed(by: Subject, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PROVIDERS_WRITE)
    need(caller, Permission.ROLES_ESCALATE)


def _found(provider_id: str) -> Unit[Provider]:
    found = yield run(statements.PROVIDER, provider_id)
    if not found:
        raise ProblemError(problem(Code.PROVIDER_NOT_FOUND, path="/fairlead/v1/providers"))
    return rows.provider(found[0])


def _seal(provider: Provider, sealed: Sealed | None, now: int) -> Unit[None]:
    if not provider.confidential:
        yield run(statements.SEALED_REMOVE, provider.secret_name)
    elif sealed is not None:
        yield run(statements.SEALED_SET, provider.secret_name, sealed.key_id, sealed.box, now)
