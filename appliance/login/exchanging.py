"""Tokens of others for short sessions of our machines (RFC 8693).

What always holds: nothing is done with a token before its issuer is one that a trust rule names and its address has not
failed too often; the rule decides on claims whose signature, issuer, audience and times were checked; exactly one
machine fits, or the one that was named; a token that is to be exchanged once is spent with the session it buys; every
exchange and every refusal is on record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.buckets import FailedLogins
from appliance.core.events import AuditEvent, EventType
from appliance.core.machines import MAX_FOREIGN_SECONDS, SECOND, SUBJECT, MachineToken, TrustRule
from appliance.core.people import Machine
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.snapshot import Snapshot
from appliance.login.issuers import Issuers
from appliance.login.keys import KeysUnavailable
from appliance.login.parts import Work
from appliance.login.tokens import LEEWAY_SECONDS, Expected, TokenFault, TokenRefused, date, issuer_of, verified
from appliance.store import ids, machines

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ISSUED: Final = "urn:ietf:params:oauth:token-type:access_token"
TYPES: Final = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})
MAX_SHOWN_CHARS: Final = 256  # of what a token says, in a record
MAX_JTI_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """One wish for an exchange: what was sent, from where, when."""

    form: Mapping[str, str]
    address: str
    correlation_id: str
    now: int


@dataclass(frozen=True, slots=True)
class Exchanging:
    """What exchanging needs; `exchange` is all there is to it."""

    snapshot: Callable[[], Snapshot]
    write: Work
    record: Callable[[AuditEvent], Awaitable[None]]
    issuers: Issuers
    failures: FailedLogins

    async def exchange(self, asked: Asked) -> Mapping[str, Any]:
        """The answer of RFC 8693 §2.2.1. Raises ProblemError."""
        limited = self.failures.refuse(asked.address, asked.now)
        if limited is not None:
            raise ProblemError(limited)
        token = _token(asked.form)
        try:
            rule, claims = await self._believed(token, asked)
            return await self._session(rule, claims, asked)
        except KeysUnavailable:
            raise ProblemError(problem(Code.ISSUER_UNAVAILABLE)) from None
        except TokenRefused as error:
            refusal = problem(Code.EXCHANGE_REFUSED, detail=str(error))
            await self._refused(asked, refusal, _claimed_issuer(token))
            raise ProblemError(refusal) from None

    async def _believed(self, token: str, asked: Asked) -> tuple[TrustRule, Mapping[str, Any]]:
        """The rule that fits the token, and what the token says."""
        issuer = issuer_of(token)
        rules = [it for it in self.snapshot().trust_rules.values() if it.issuer == issuer]
        proven: list[tuple[TrustRule, Mapping[str, Any]]] = []
        fault = TokenRefused(TokenFault.ISSUER)
        for keys in dict.fromkeys(it.jwks for it in rules):
            same = [it for it in rules if it.jwks == keys]
            expected = Expected(issuer, frozenset(it.audience for it in same))
            try:
                claims = await verified(token, expected, self.issuers.keys(same[0]), asked.now)
            except TokenRefused as error:
                fault = error
            else:
                proven += [(it, claims) for it in same]
        if not proven:
            raise fault
        return await self._fitting(proven, asked)

    async def _fitting(
        self, proven: Sequence[tuple[TrustRule, Mapping[str, Any]]], asked: Asked
    ) -> tuple[TrustRule, Mapping[str, Any]]:
        rule, claims = proven[0]
        account = f"{rule.issuer} {claims[SUBJECT]}"
        limited = self.failures.refuse(asked.address, asked.now, account)
        if limited is not None:
            raise ProblemError(limited)
        wanted = asked.form.get("machine")
        names = {it.id: it.name for it in self.snapshot().machines.values()}
        fitting = [
            (it, said)
            for it, said in proven
            if it.fits(said) and (wanted is None or wanted in {it.machine_id, names.get(it.machine_id)})
        ]
        detail = ""
        if date(claims, "exp") - date(claims, "iat") > MAX_FOREIGN_SECONDS:
            detail = f"it is good for longer than {MAX_FOREIGN_SECONDS // 3600} hours"
        elif not fitting:
            detail = "no trust rule fits it"
        elif len({it.machine_id for it, _ in fitting}) > 1:
            detail = "trust rules of several machines fit it; name one with the parameter machine"
        if detail:
            await self._no(problem(Code.EXCHANGE_REFUSED, detail=detail), asked, rule, claims, account)
        # Of several rules for the same machine, the strictest.
        return min(fitting, key=lambda it: (not it[0].single_use, it[0].seconds, it[0].id))

    async def _session(self, rule: TrustRule, claims: Mapping[str, Any], asked: Asked) -> Mapping[str, Any]:
        """Spend the token, keep the session."""
        account = f"{rule.issuer} {claims[SUBJECT]}"
        jti = claims.get("jti") if rule.single_use else None
        if rule.single_use and (not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARS):
            detail = "its trust rule lets a token be exchanged once, and it has no jti to know it by"
            await self._no(problem(Code.EXCHANGE_REFUSED, detail=detail), asked, rule, claims, account)
        text = ids.new_token("flx")
        kept = MachineToken(
            ids.new_id("token"),
            rule.machine_id,
            ids.token_hash(text),
            asked.now + rule.seconds * SECOND,
            rule_id=rule.id,
            subject=str(claims[SUBJECT])[:MAX_SHOWN_CHARS],
            created_at=asked.now,
        )
        until = int(date(claims, "exp") + LEEWAY_SECONDS + 1) * SECOND
        try:
            machine = await self.write(machines.exchange(rule, kept, jti, until, asked.now))
        except ProblemError as error:
            await self._no(error.problem, asked, rule, claims, account)
            raise
        await self._note(asked, EventType.TOKEN_EXCHANGED, rule, claims, machine, token_id=kept.id)
        return {
            "access_token": text,
            "issued_token_type": ISSUED,
            "token_type": "Bearer",
            "expires_in": rule.seconds,
            "machine": {"id": machine.id, "name": machine.name},
        }

    async def _no(
        self, refusal: Problem, asked: Asked, rule: TrustRule, claims: Mapping[str, Any], account: str
    ) -> None:
        """Record, count and raise a refusal of whoever proved who they are."""
        await self._refused(asked, refusal, rule.issuer, str(claims[SUBJECT]), account)
        raise ProblemError(refusal)

    async def _refused(self, asked: Asked, refusal: Problem, issuer: str, subject: str = "", account: str = "") -> None:
        details = (("issuer", _shown(issuer)), ("subject", _shown(subject)), ("why", refusal.message))
        await self.record(
            AuditEvent(
                asked.now,
                EventType.EXCHANGE_REFUSED,
                client_address=asked.address,
                status=refusal.status,
                code=refusal.code,
                correlation_id=asked.correlation_id,
                details=details,
            )
        )
        self.failures.failed(asked.address, asked.now, account)

    async def _note(
        self, asked: Asked, kind: EventType, rule: TrustRule, claims: Mapping[str, Any], machine: Machine, **more: str
    ) -> None:
        said = {"issuer": rule.issuer, "subject": claims[SUBJECT], "jti": claims.get("jti", ""), "rule_id": rule.id}
        await self.record(
            AuditEvent(
                asked.now,
                kind,
                actor_id=machine.id,
                actor=machine.name,
                client_address=asked.address,
                correlation_id=asked.correlation_id,
                details=tuple((name, _shown(value)) for name, value in {**said, **more}.items()),
            )
        )


def _token(form: Mapping[str, str]) -> str:
    """The token of a well-formed wish."""
    if form.get("grant_type") != GRANT:
        raise ProblemError(problem(Code.BAD_REQUEST, detail=f"grant_type is not {GRANT}"))
    if form.get("subject_token_type") not in TYPES:
        raise ProblemError(problem(Code.BAD_REQUEST, detail=f"subject_token_type is not one of {', '.join(TYPES)}"))
    if form.get("requested_token_type", ISSUED) != ISSUED:
        raise ProblemError(problem(Code.BAD_REQUEST, detail=f"requested_token_type can only be {ISSUED}"))
    unknown = form.keys() - {"grant_type", "subject_token", "subject_token_type", "requested_token_type", "machine"}
    if unknown or not form.get("subject_token"):
        detail = "subject_token is missing, or there is a parameter that is not known here"
        raise ProblemError(problem(Code.BAD_REQUEST, detail=detail))
    return form["subject_token"]


def _claimed_issuer(token: str) -> str:
    try:
        return issuer_of(token)
    except TokenRefused:
        return ""


def _shown(value: object) -> str:
    text = str(value)[:MAX_SHOWN_CHARS]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
