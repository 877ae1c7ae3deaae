"""One of everything, under the names and ids that the document's examples use, and somebody who has signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.api.openapi import PLACES
from appliance.api.routes import Proof, Route
from appliance.core.access import PENDING_SECONDS, SECOND, AccessRequest, RequestPolicy
from appliance.core.claims import Claimed
from appliance.core.clusters import Cluster
from appliance.core.credentials import CredentialKind
from appliance.core.machines import Condition, MachineToken, TrustRule
from appliance.core.people import Machine, Person
from appliance.core.providers import Provider
from appliance.core.roles import Binding, Permission, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.sessions import ClientKind, Login, Session, TokenKind
from appliance.core.webhooks import Webhook
from appliance.store import ids, issuing, machines, providers, requests, sessions, units, webhooks
from appliance.store.issuing import Wanted
from appliance.store.sessions import Sealed, Token
from tests.appliance.api.rig import HOUR, NOW, Rig

ISSUER = "https://login.example.com"
DAY = 24 * HOUR


def named(place: str) -> str:
    """The id (or for what has one, the name) that examples use."""
    return PLACES[place][1]


SERIAL = named("binding").partition("_")[2]
ANN = Subject(SubjectKind.PERSON, f"person_{SERIAL}")
HERE = Scope(ScopeKind.CLUSTER, f"cluster_{SERIAL}")


@dataclass
class World:
    """`token` is of a machine that may do everything; `ann` of a person who signed in; `backup` of a machine."""

    api: Rig
    token: str
    ann: str
    backup: str

    def holder(self, route: Route) -> str:
        """The token of somebody whom this route lets in."""
        match route.proof:
            case Proof.SIGNED_IN:
                return self.ann
            case Proof.MACHINE:
                return self.backup
            case _:
                return self.token


async def signed_in(api: Rig, person_id: str, session_id: str) -> str:
    """The access token of a new session; its provider is not asked again."""
    person = api.store.snapshot.people[person_id]
    token, login_id = ids.new_token("fla"), ids.new_id("login")
    login = Login(login_id, person_id, "", api.now, api.now, api.now + 300 * DAY)
    session = Session(session_id, login_id, person_id, ClientKind.COMMAND, "laptop", "192.0.2.7", api.now, api.now)
    shown = Token(ids.token_hash(token), TokenKind.ACCESS, api.now + 300 * DAY)
    claimed = Claimed(person.issuer, person.subject, person.name, person.email, person.groups)
    sealed = Sealed(*api.store.seal(login_id, b"nothing"))
    await api.store.write(sessions.arrive(claimed, person_id, login, sealed, api.now))
    await api.store.write(sessions.begin(session, [shown], api.now))
    return token


async def furnished(api: Rig) -> World:
    """Makes it all, straight in the store."""
    write = api.store.write
    by = next(iter(api.store.snapshot.machines.values()))
    root = Subject(SubjectKind.MACHINE, by.id)
    ann = Person(ANN.id, ISSUER, "1", named("person"), email=named("person"), groups=("dev",), created_at=NOW)
    role = Role(f"role_{SERIAL}", named("role"), groups=("view",), permissions=(Permission.ACCESS_REQUEST,))
    backup = Machine(f"machine_{SERIAL}", named("machine"), NOW)
    text = ids.new_token("flm")
    shown = MachineToken(named("token"), backup.id, ids.token_hash(text), NOW + 300 * DAY)
    await write(units.add_cluster(Cluster(HERE.cluster_id, named("cluster"), created_at=NOW), NOW))
    await write(units.add_person(ann, NOW))
    await write(units.add_machine(backup, NOW))
    await write(units.add_machine_token(shown, NOW))
    await write(units.add_role(role, NOW))
    for number, subject in enumerate((ANN, Subject(SubjectKind.MACHINE, backup.id))):
        identity = named("binding") if number == 0 else ids.new_id("binding")
        await write(units.add_binding(Binding(identity, subject, role.id, HERE, created_at=NOW), NOW))
    asked = Role(ids.new_id("role"), "asked-for", groups=("edit",))
    await write(units.add_role(asked, NOW))
    policy = RequestPolicy(named("policy"), asked.id, HERE, (ANN,), (), 1, 8 * 3600, reason_required=False)
    await write(requests.add_policy(root, policy, NOW))
    wish = AccessRequest(
        named("request"), policy.id, ANN, ANN, asked.id, HERE, 3_600, "", expires_at=NOW + PENDING_SECONDS * SECOND,
        created_at=NOW,
    )  # fmt: skip
    await write(requests.ask(wish, NOW))
    rule = TrustRule(
        named("rule"), backup.id, "https://ci.example.com", "https://fairlead.example.com",
        (Condition("sub", ("repo:example/backup",)),), "", True, 900, NOW, by.id,
    )  # fmt: skip
    await write(machines.add_rule(root, rule, NOW))
    provider = Provider(named("provider"), "login", "Login", "https://other.example.com", "fairlead", created_at=NOW)
    await write(providers.add(root, provider, None, NOW))
    hook = Webhook(named("webhook"), "https://hooks.example.com", created_at=NOW)
    await write(webhooks.add(root, hook, Sealed(*api.store.seal(hook.secret_name, b"x" * 32)), NOW))
    wanted = Wanted(named("credential"), ANN.id, HERE.cluster_id, CredentialKind.STATIC, 3_600, by.id)
    await write(issuing.issue(wanted, NOW))
    return World(api, api.token, await signed_in(api, ANN.id, named("session")), text)


async def elsewhere(api: Rig) -> str:
    """The token of a person who may do everything on another cluster, and nothing on this one."""
    other = Cluster("cluster_elsewhere", "elsewhere", created_at=NOW)
    eve = Person("person_eve", ISSUER, "eve", "eve@example.com", created_at=NOW)
    role = Role("role_everything", "everything", permissions=tuple(Permission))
    await api.store.write(units.add_cluster(other, NOW))
    await api.store.write(units.add_person(eve, NOW))
    await api.store.write(units.add_role(role, NOW))
    bound = Binding("binding_eve", Subject(SubjectKind.PERSON, eve.id), role.id, Scope(ScopeKind.CLUSTER, other.id))
    await api.store.write(units.add_binding(bound, NOW))
    return await signed_in(api, eve.id, "session_eve")


async def nobody(api: Rig) -> str:
    """The token of a person without a role."""
    person = Person("person_nobody", ISSUER, "nobody", "nobody@example.com", created_at=NOW)
    await api.store.write(units.add_person(person, NOW))
    return await signed_in(api, person.id, "session_nobody")


def path(route: Route, **places: str) -> str:
    """The route's path with the ids that examples use, or others."""
    filled = route.path
    for place, (_, example) in PLACES.items():
        filled = filled.replace(f"<{place}>", places.get(place, example))
    return filled + ("?" + NEEDED[route.path] if route.path in NEEDED else "")


NEEDED = {
    "explain": "cluster=prod-eu&person=ann@example.com&verb=get&resource=pods",
    "who-can": "cluster=prod-eu&verb=get&resource=pods",
}


def contents(api: Rig) -> dict[str, Any]:
    """Everything the snapshot holds, but when tokens were used: equal before and after what changes nothing."""
    used = {"memory", "changed", "machine_tokens", "machine_token_by_hash"}
    tables = {name: it for name, it in vars(api.store.snapshot).items() if isinstance(it, dict)}
    return {name: dict(it) for name, it in tables.items() if name not in used}
