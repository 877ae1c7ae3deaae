"""The units by which machines, and the ways to be one, go: with everything that hangs on them."""

from __future__ import annotations

from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import rows, statements
from appliance.store.unit import Unit, run
from appliance.store.units import change, remove_binding


def remove_machine_token(token_id: str, now: int) -> Unit[None]:
    yield from change(Entity.MACHINE_TOKEN, token_id, now)
    if not (yield run(statements.MACHINE_TOKEN_REMOVE, token_id)):
        raise ProblemError(problem(Code.MACHINE_TOKEN_NOT_FOUND))


def remove_trust_rule(rule_id: str, now: int) -> Unit[None]:
    """With the sessions that were got under it."""
    yield from change(Entity.TRUST_RULE, rule_id, now)
    if not (yield run(statements.TRUST_RULE_REMOVE, rule_id)):
        raise ProblemError(problem(Code.TRUST_RULE_NOT_FOUND))
    for (token_id,) in (yield run(statements.MACHINE_TOKENS_OF_RULE, rule_id)):
        yield from remove_machine_token(token_id, now)


def remove_machine(machine_id: str, now: int) -> Unit[None]:
    """With its bindings, trust rules and tokens. Its credentials are refused for good: an id is given once."""
    yield from change(Entity.MACHINE, machine_id, now)
    if not (yield run(statements.MACHINE_REMOVE, machine_id)):
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    for (rule_id,) in (yield run(statements.TRUST_RULES_OF, machine_id)):
        yield from remove_trust_rule(rule_id, now)
    for row in (yield run(statements.MACHINE_TOKENS_OF, machine_id)):
        yield from remove_machine_token(rows.machine_token(row).id, now)
    for (binding_id,) in (yield run(statements.BINDINGS_OF_SUBJECT, str(SubjectKind.MACHINE), machine_id)):
        yield from remove_binding(binding_id, now)
