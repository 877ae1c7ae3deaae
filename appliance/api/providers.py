"""Identity providers: set one up, list, change, remove.

Whoever says who people are can become any of them, so changing one needs `roles:escalate` beside `providers:write`. The
client secret goes in and never comes out. People must be sent back to the URL shown as `redirect_uri`; the provider
has to know it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import PREFIX, Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.providers import FLOW_PARAMETERS, Provider, Reading
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.core.versions import Guarded
from appliance.store import ids, providers
from appliance.store.sessions import Sealed

MAX_DEPTH: Final = 8  # names in the path of one claim
SECRET_VERSION_BYTES: Final = 8  # two changes that meet must differ
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 §3.3


@bodies.reads({"oneOf": [bodies.text.schema, {"type": "array", "items": bodies.text.schema, "maxItems": MAX_DEPTH}]})
def path(where: str, value: Any) -> tuple[str, ...]:
    """A claim by its name, or by the list of names that leads to it."""
    names: tuple[str, ...] = bodies.listed(bodies.text)(where, [value] if isinstance(value, str) else value)
    if len(names) > MAX_DEPTH:
        raise BodyError(where, f"{where} leads through at most {MAX_DEPTH} names.")
    return tuple(names)


@bodies.reads(
    {
        "oneOf": [
            bodies.text.schema,
            {"type": "array", "items": bodies.text.schema, "minItems": 1, "maxItems": MAX_DEPTH},
        ]
    }
)
def some_path(where: str, value: Any) -> tuple[str, ...]:
    found = path(where, value)
    if not found:
        raise BodyError(where, f"{where} names a claim.")
    return found


@bodies.reads({"type": "string", "minLength": 1, "maxLength": 128, "pattern": f"^{_SCOPE.pattern}$"})
def scope(where: str, value: Any) -> str:
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        raise BodyError(where, f"{where} is no OAuth scope.")
    return value


@bodies.reads(bodies.labels)
def parameters(where: str, value: Any) -> tuple[tuple[str, str], ...]:
    found = bodies.labels(where, value)
    ours = sorted(set(found) & FLOW_PARAMETERS)
    if ours:
        raise BodyError(where, f"{where} may not set {', '.join(ours)}: the flow does.")
    return tuple(sorted(found.items()))


@bodies.reads(bodies.text, minLength=0)
def prefix(where: str, value: Any) -> str:
    return "" if value == "" else bodies.text(where, value)


_REQUIRED = bodies.obj((Field("claim", some_path), Field("values", bodies.listed(bodies.text))))


@bodies.reads(_REQUIRED)
def required(where: str, value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    read = _REQUIRED(where, value)
    if not read["values"]:
        raise BodyError(where, f"{where}.values lists the values that are let in.")
    return read["claim"], read["values"]


_AS_USUAL: Final = Reading()
_READING: Final = (
    Field("name", some_path, required=False, default=_AS_USUAL.name),
    Field("name_prefix", prefix, required=False, default=""),
    Field("email", some_path, required=False, default=_AS_USUAL.email),
    Field("email_verified", some_path, required=False, default=_AS_USUAL.email_verified),
    Field("groups", path, required=False, default=_AS_USUAL.groups),
    Field("groups_prefix", prefix, required=False, default=""),
    Field("required", bodies.listed(required), required=False, default=()),
    Field("userinfo", bodies.boolean, required=False, default=False),
)
_read_claims = bodies.obj(_READING)


@bodies.reads(_read_claims)
def claims(where: str, value: Any) -> Reading:
    return Reading(**_read_claims(where, value))


def shown(call: Call, it: Provider) -> dict[str, Any]:
    """Without its client secret, whose changes the tag covers."""
    reading = it.reading
    return render.tagged(
        {
            "id": it.id,
            "slug": it.slug,
            "title": it.title,
            "issuer": it.issuer,
            "client_id": it.client_id,
            "confidential": it.confidential,
            "scopes": list(it.scopes),
            "parameters": dict(it.parameters),
            "claims": {
                "name": list(reading.name),
                "name_prefix": reading.name_prefix,
                "email": list(reading.email),
                "email_verified": list(reading.email_verified),
                "groups": list(reading.groups),
                "groups_prefix": reading.groups_prefix,
                "required": [{"claim": list(claim), "values": list(values)} for claim, values in reading.required],
                "userinfo": reading.userinfo,
            },
            "enabled": it.enabled,
            "redirect_uri": f"{call.parts.public_url}/fairlead/callback/{it.slug}",
        },
        it.secret_version,
    )


async def listed(call: Call) -> Answer:
    """By slug."""
    return await pages.page(
        call,
        Entity.PROVIDER,
        call.parts.snapshot().providers.values(),
        lambda it: (it.slug,),
        str,
        seen=lambda _: True,
        shown=lambda it: shown(call, it),
    )


async def one(call: Call) -> Answer:
    found = call.parts.snapshot().providers.get(call.path["provider"])
    if found is None:
        raise ProblemError(problem(Code.PROVIDER_NOT_FOUND, path=f"{PREFIX}/providers"))
    return Answer(200, shown(call, found))


async def create(call: Call) -> Answer:
    body = call.body
    secret: str | None = body["client_secret"]
    made = Provider(
        ids.new_id("provider"),
        body["slug"],
        body["title"] or body["slug"],
        body["issuer"],
        body["client_id"],
        secret is not None,
        body["scopes"],
        body["parameters"],
        body["claims"],
        enabled=body["enabled"],
        created_at=call.now,
        secret_version=secrets.token_hex(SECRET_VERSION_BYTES),
    )
    await call.parts.write(providers.add(call.caller.subject, made, _sealed(call, made, secret), call.now))
    await note(call, EventType.PROVIDER_CREATED, provider=made.slug, provider_id=made.id, issuer=made.issuer)
    return Answer(201, shown(call, made))


async def update(call: Call) -> Answer:
    """What is given. A `client_secret` of null makes it a public client."""
    known = call.parts.snapshot().providers.get(call.path["provider"])
    given = {name: value for name, value in call.body.items() if value is not UNCHANGED}
    secret = given.pop("client_secret", UNCHANGED)
    renamed = {"reading" if name == "claims" else name: value for name, value in given.items()}
    if secret is not UNCHANGED:
        renamed |= {"confidential": secret is not None, "secret_version": secrets.token_hex(SECRET_VERSION_BYTES)}
    sealed = _sealed(call, known, secret) if known is not None and isinstance(secret, str) else None
    edit: Guarded[Provider] = call.guarded(lambda it: shown(call, it)["etag"], lambda it: replace(it, **renamed))
    edited = await call.parts.write(
        providers.change(call.caller.subject, call.path["provider"], edit, sealed, call.now)
    )
    await note(call, EventType.PROVIDER_UPDATED, provider=edited.slug, provider_id=edited.id, changed=_named(call.body))
    return Answer(200, shown(call, edited))


async def remove(call: Call) -> Answer:
    """Refused while people are known by it: disable it instead."""
    gone = await call.parts.write(providers.remove(call.caller.subject, call.path["provider"], call.now))
    await note(call, EventType.PROVIDER_DELETED, provider=gone.slug, provider_id=gone.id, issuer=gone.issuer)
    return Answer(204)


def _named(body: Mapping[str, Any]) -> str:
    return ", ".join(sorted(name for name, value in body.items() if value is not UNCHANGED))


def _sealed(call: Call, provider: Provider, secret: str | None) -> Sealed | None:
    return Sealed(*call.parts.seal(provider.secret_name, secret.encode())) if secret is not None else None


@bodies.reads(bodies.text, type=["string", "null"])
def secret(where: str, value: Any) -> str | None:
    return None if value is None else bodies.text(where, value)


UNCHANGED: Final = object()
_DEFAULTS: Final = Provider("", "", "", "", "")
_FORM: Final[tuple[tuple[str, bodies.Reader[Any], Any], ...]] = (
    ("title", bodies.text, ""),
    ("client_secret", secret, None),
    ("scopes", bodies.listed(scope), _DEFAULTS.scopes),
    ("parameters", parameters, ()),
    ("claims", claims, _DEFAULTS.reading),
    ("enabled", bodies.boolean, True),
)

ROUTES = (
    Route("GET", "providers", (Permission.PROVIDERS_READ,), listed, query=pages.QUERY, gives=shapes.Provider),
    Route(
        "GET",
        "providers/<provider>",
        (Permission.PROVIDERS_READ,),
        one,
        gives=shapes.Provider,
        refuses=(Code.PROVIDER_NOT_FOUND,),
    ),
    Route(
        "POST",
        "providers",
        (Permission.PROVIDERS_WRITE, Permission.ROLES_ESCALATE),
        create,
        body=(
            Field("slug", bodies.name),
            Field("issuer", readers.issuer),
            Field("client_id", bodies.text),
            *(Field(name, read, required=False, default=default) for name, read, default in _FORM),
        ),
        gives=shapes.Provider,
        status=201,
        refuses=(Code.DUPLICATE_PROVIDER,),
    ),
    Route(
        "PATCH",
        "providers/<provider>",
        (Permission.PROVIDERS_WRITE, Permission.ROLES_ESCALATE),
        update,
        body=(
            Field("client_id", bodies.text, required=False, default=UNCHANGED),
            *(Field(name, read, required=False, default=UNCHANGED) for name, read, _ in _FORM),
        ),
        gives=shapes.Provider,
        refuses=(Code.PROVIDER_NOT_FOUND,),
    ),
    Route(
        "DELETE",
        "providers/<provider>",
        (Permission.PROVIDERS_WRITE, Permission.ROLES_ESCALATE),
        remove,
        status=204,
        refuses=(Code.PROVIDER_NOT_FOUND, Code.PROVIDER_IN_USE),
    ),
)
