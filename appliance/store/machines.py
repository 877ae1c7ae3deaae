"""The units about how machines get in: their tokens, the trust rules, and what is exchanged under these.

What always holds: giving out a way to be a machine needs all that the machine holds, checked in the transaction that
writes; a token of ours is refused from the moment it is removed, and so is every kubeconfig credential its machine got
before; a token of others that may be exchanged once is spent in the transaction that keeps its session; a machine has a
bounded number of tokens and of sessions.
"""

from __future__ import annotations

from hashlib import sha256

from appliance.core.machines import MAX_RULES, MAX_SESSIONS, MAX_TOKENS, MachineToken, TrustRule
from appliance.core.people import Machine
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission, Subject
from appliance.core.snapshot import Entity
from appliance.store import issuing, removing, rows, statements, units
from appliance.store.granting import caller_rights, keeping_an_administrator, may_become, need
from appliance.store.unit import Unit, run


def add_token(by: Subject, token: MachineToken, now: int) -> Unit[Machine]:
    """One more token of a machine."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.MACHINES_WRITE)
    machine = yield from _machine(token.machine_id)
    yield from may_become(caller, machine.id, now)
    made = [it for it in (yield from _live(machine.id, now)) if not it.rule_id]
    if len(made) >= MAX_TOKENS:
        raise ProblemError(problem(Code.TOO_MANY_MACHINE_TOKENS, limit=MAX_TOKENS))
    yield from units.add_machine_token(token, now)
    return machine


def remove_token(by: Subject, machine_id: str, token_id: str, now: int) -> Unit[MachineToken]:
    """With the credentials the machine has got so far: which of them by this token, nobody can say."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.MACHINES_WRITE)
    found = [rows.machine_token(row) for row in (yield run(statements.MACHINE_TOKEN, token_id))]
    if not found or found[0].machine_id != machine_id:
        raise ProblemError(problem(Code.MACHINE_TOKEN_NOT_FOUND))
    yield from keeping_an_administrator(removing.remove_machine_token(token_id, now), now)
    yield from issuing.refuse_machine(machine_id, now)
    return found[0]


def use_token(token_id: str, now: int) -> Unit[None]:
    """Notes that it was used."""
    yield from units.change(Entity.MACHINE_TOKEN, token_id, now)
    yield run(statements.MACHINE_TOKEN_USE, token_id, now)


def add_rule(by: Subject, rule: TrustRule, now: int) -> Unit[Machine]:
    """Whoever an issuer may name becomes this machine."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.TRUST_WRITE)
    machine = yield from _machine(rule.machine_id)
    yield from may_become(caller, machine.id, now)
    ((count,),) = yield run(statements.TRUST_RULES_COUNT)
    if count >= MAX_RULES:
        raise ProblemError(problem(Code.TOO_MANY_TRUST_RULES, limit=MAX_RULES))
    yield from units.change(Entity.TRUST_RULE, rule.id, now)
    yield run(statements.TRUST_RULE_ADD, *rows.trust_rule_values(rule))
    return machine


def remove_rule(by: Subject, rule_id: str, now: int) -> Unit[TrustRule]:
    """With its sessions, and the credentials the machine has got so far."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.TRUST_WRITE)
    rule = yield from _rule(rule_id)
    if rule is None:
        raise ProblemError(problem(Code.TRUST_RULE_NOT_FOUND))
    yield from removing.remove_trust_rule(rule_id, now)
    yield from issuing.refuse_machine(rule.machine_id, now)
    return rule


def exchange(rule: TrustRule, token: MachineToken, spent: str | None, spent_until: int, now: int) -> Unit[Machine]:
    """Keeps the session that another's token is exchanged for. `spent`: by what that token is known, if it is spent."""
    yield run(statements.FEED_LOCK)
    if (yield from _rule(rule.id)) != rule:
        raise ProblemError(problem(Code.EXCHANGE_REFUSED, detail="no trust rule fits it"))  # it was just removed
    machine = yield from _machine(rule.machine_id)
    sessions = [it for it in (yield from _live(machine.id, now)) if it.rule_id]
    if len(sessions) >= MAX_SESSIONS:
        soonest = min(it.expires_at for it in sessions)
        seconds = max(1, -(-(soonest - now) // 1_000_000))
        raise ProblemError(problem(Code.RATE_LIMITED, seconds=seconds, retry_after=seconds))
    if spent is not None:
        name = sha256(f"{rule.issuer}\n{spent}".encode()).hexdigest()
        if not (yield run(statements.EXCHANGED_ADD, name, spent_until)):
            raise ProblemError(problem(Code.TOKEN_REPLAYED))
    yield from units.add_machine_token(token, now)
    return machine


def _machine(machine_id: str) -> Unit[Machine]:
    found = yield run(statements.MACHINE, machine_id)
    if not found:
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    return rows.machine(found[0])


def _rule(rule_id: str) -> Unit[TrustRule | None]:
    found = yield run(statements.TRUST_RULE, rule_id)
    return rows.trust_rule(found[0]) if found else None


def _live(machine_id: str, now: int) -> Unit[list[MachineToken]]:
    tokens = [rows.machine_token(row) for row in (yield run(statements.MACHINE_TOKENS_OF, machine_id))]
    return [it for it in tokens if it.live(now)]
