"""Tokens of others for short sessions of our machines (RFC 8693).

What always holds: nothing is done with a token before its issuer is one that a trust rule names and its address has not
failed too often; the rule decides on claims whose signature, issuer, audience and times were checked; exactly one
machine fits, or the one that was named; a token that is to be exchanged once is spent with the session it buys; every
exchange and every refusal is on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from appliance.core.events import EventType
from appliance.core.machines import MAX_FOREIGN_SECONDS, SECOND, SUBJECT, MachineToken, TrustRule
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.login.issuers import Issuers
from appliance.login.keys import KeysUnavailable
from appliance.login.parts import LoginParts
from appliance.login.tokens import LEEWAY_SECONDS, Expected, TokenFault, TokenRefused, date, issuer_of, verified
from appliance.login.trail import MAX_SHOWN_CHARS, account_of, limit, note, refused, shown
from appliance.login.visits import Json, Visit
from appliance.store import ids, machines

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ISSUED: Final = "urn:ietf:params:oauth:token-type:access_token"
TYPES: Final = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})
MAX_JTI_CHARS: Final = 512


class Exchanging:
    """The one way from another's token to a session."""

    def __init__(self, parts: LoginParts) -> None:
        self._parts = parts
        self._issuers = Issuers(parts.dialler.get)

    async def exchange(self, visit: Visit) -> Json:
        """The answer of RFC 8693 §2.2.1."""
        limit(self._parts, visit)
        token = _token(visit)
        try:
            rules, claims = await self._believed(token, visit.now)
        except KeysUnavailable:
            raise ProblemError(problem(Code.ISSUER_UNAVAILABLE)) from None
        except TokenRefused as error:
            await self._no(visit, problem(Code.EXCHANGE_REFUSED, detail=str(error)), _claimed_issuer(token))
        limit(self._parts, visit, account_of(claims["iss"], claims[SUBJECT]))
        return await self._session(await self._fitting(rules, claims, visit), claims, visit)

    async def _believed(self, token: str, now: int) -> tuple[list[TrustRule], Mapping[str, Any]]:
        """What the token says, and the rules whose keys prove it."""
        issuer = issuer_of(token)
        rules = [it for it in self._parts.snapshot().trust_rules.values() if it.issuer == issuer]
        proven: list[TrustRule] = []
        claims: Mapping[str, Any] = {}
        fault: TokenRefused | KeysUnavailable = TokenRefused(TokenFault.ISSUER)
        for keys in dict.fromkeys(it.jwks for it in rules):
            same = [it for it in rules if it.jwks == keys]
            expected = Expected(issuer, frozenset(it.audience for it in same))
            try:
                claims = await verified(token, expected, self._issuers.keys(same[0]), now)
            except (TokenRefused, KeysUnavailable) as error:
                # Keys that cannot be had now may be the right ones: then it is not said that the token is bad.
                fault = fault if isinstance(fault, KeysUnavailable) else error
            else:
                proven += same
        if not proven:
            raise fault
        return proven, claims

    async def _fitting(self, proven: Sequence[TrustRule], claims: Mapping[str, Any], visit: Visit) -> TrustRule:
        wanted = visit.form.get("machine")
        names = {it.id: it.name for it in self._parts.snapshot().machines.values()}
        fitting = [
            it
            for it in proven
            if it.fits(claims) and (wanted is None or wanted in {it.machine_id, names.get(it.machine_id)})
        ]
        detail = ""
        if date(claims, "exp") - date(claims, "iat") > MAX_FOREIGN_SECONDS:
            detail = f"it is good for longer than {MAX_FOREIGN_SECONDS // 3600} hours"
        elif not fitting:
            detail = "no trust rule fits it"
        elif len({it.machine_id for it in fitting}) > 1:
            detail = "trust rules of several machines fit it; name one with the parameter machine"
        if detail:
            await self._no(visit, problem(Code.EXCHANGE_REFUSED, detail=detail), claims["iss"], claims[SUBJECT])
        # Of several rules for the same machine, the strictest.
        return min(fitting, key=lambda it: (not it.single_use, it.seconds, it.id))

    async def _session(self, rule: TrustRule, claims: Mapping[str, Any], visit: Visit) -> Json:
        """Spend the token, keep the session."""
        jti = claims.get("jti") if rule.single_use else None
        if rule.single_use and (not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARS):
            detail = "its trust rule lets a token be exchanged once, and it has no jti to know it by"
            await self._no(visit, problem(Code.EXCHANGE_REFUSED, detail=detail), rule.issuer, claims[SUBJECT])
        text = ids.new_token("flx")
        kept = MachineToken(
            ids.new_id("token"),
            rule.machine_id,
            ids.token_hash(text),
            visit.now + rule.seconds * SECOND,
            rule_id=rule.id,
            subject=str(claims[SUBJECT])[:MAX_SHOWN_CHARS],
            created_at=visit.now,
        )
        until = int(date(claims, "exp") + LEEWAY_SECONDS + 1) * SECOND
        try:
            machine = await self._parts.write(machines.exchange(rule, kept, jti, until, visit.now))
        except ProblemError as error:
            await self._no(visit, error.problem, rule.issuer, claims[SUBJECT])
        said = {"issuer": rule.issuer, "subject": claims[SUBJECT], "jti": claims.get("jti", ""), "rule_id": rule.id}
        words = {name: shown(value) for name, value in said.items()}
        await note(self._parts, EventType.TOKEN_EXCHANGED, visit, machine, **words, token_id=kept.id)
        return Json(
            {
                "access_token": text,
                "issued_token_type": ISSUED,
                "token_type": "Bearer",
                "expires_in": rule.seconds,
                "machine": {"id": machine.id, "name": machine.name},
            }
        )

    async def _no(self, visit: Visit, refusal: Problem, issuer: str, subject: str = "") -> NoReturn:
        """Record, count and raise a refusal. `subject`: of whoever proved who they are."""
        words = {"issuer": shown(issuer), "subject": shown(subject), "why": refusal.message}
        await refused(self._parts, EventType.EXCHANGE_REFUSED, visit, refusal, **words)
        self._parts.failures.failed(visit.address, visit.now, account_of(issuer, subject) if subject else "")
        raise ProblemError(refusal)


def _token(visit: Visit) -> str:
    """The token of a well-formed wish."""
    form = visit.form
    if visit.query:
        raise ProblemError(problem(Code.BAD_REQUEST, detail="a parameter stands in the URL"))
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
