"""Units of work about what is on its way to a session: sign-ins at a provider, codes, devices, setup codes.

What always holds: each is spent once, by one statement that finds and spends it, so that of many who show the same one
gets something, on whichever appliance they ask. What is spent by the wrong one is spent all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.sessions import SECOND, SLOWER_SECONDS, Session
from appliance.store import sessions, statements
from appliance.store.sessions import Token
from appliance.store.unit import Row, Unit, run

Made = Callable[[str, str], tuple[Session, list[Token]]]
"""The session to begin, given its login and what the client calls itself, with its tokens."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """One that is under way. `next_path`: where the browser wanted to go."""

    browser_sha256: str
    provider_id: str
    next_path: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a browser brings to the command beside it. `challenge`: of the command's PKCE verifier."""

    login_id: str
    redirect_uri: str
    challenge: str
    label: str
    expires_at: int


class DeviceState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Device:
    """One that waits for its code to be confirmed."""

    sha256: str
    user_code: str
    label: str
    address: str
    state: DeviceState
    login_id: str
    poll_seconds: int
    polled_at: int
    created_at: int
    expires_at: int


def add_sign_in(state_sha256: str, it: SignIn) -> Unit[None]:
    yield run(statements.SIGN_IN_ADD, state_sha256, it.browser_sha256, it.provider_id, it.next_path, it.expires_at)


def spend_sign_in(state_sha256: str) -> Unit[SignIn | None]:
    found = yield run(statements.SIGN_IN_SPEND, state_sha256)
    return SignIn(*found[0]) if found else None


def add_authorization(code_sha256: str, it: Authorization) -> Unit[None]:
    values = (it.login_id, it.redirect_uri, it.challenge, it.label, it.expires_at)
    yield run(statements.AUTHORIZATION_ADD, code_sha256, *values)


def spend_authorization(
    code_sha256: str, redirect_uri: str, challenge: str, made: Made, now: int
) -> Unit[Session | Problem]:
    """Begins the session that a code is for. Shown again, it ends that session (RFC 6749 §4.1.2)."""
    yield run(statements.FEED_LOCK)
    found = yield run(statements.AUTHORIZATION_CODE, code_sha256)
    if not found:
        return problem(Code.INVALID_GRANT, detail="the code is not a known one")
    login_id, wanted_uri, wanted_challenge, label, bought, expires_at = found[0]
    session, tokens = made(login_id, label)
    if not (yield run(statements.AUTHORIZATION_SPEND, code_sha256, session.id)):
        yield from sessions.end(bought, sessions.REPLAYED, now)
        return problem(Code.GRANT_REPLAYED)
    if expires_at <= now:
        return problem(Code.INVALID_GRANT, detail="the code has expired")
    if (wanted_uri, wanted_challenge) != (redirect_uri, challenge):
        return problem(Code.INVALID_GRANT, detail="the code is for another client")
    return (yield from _begun(session, tokens, now))


def add_device(it: Device) -> Unit[bool]:
    """False: its user code is in use, choose another."""
    values = (it.sha256, it.user_code, it.label, it.address, str(it.state))
    times = (it.poll_seconds, it.polled_at, it.created_at, it.expires_at)
    return bool((yield run(statements.DEVICE_ADD, *values, *times)))


def device_named(user_code: str, now: int) -> Unit[Device | None]:
    """The device that shows this code and still waits."""
    found = yield run(statements.DEVICE_NAMED, user_code)
    device = _device(found[0]) if found else None
    return device if device is not None and device.state is DeviceState.PENDING and device.expires_at > now else None


def decide_device(user_code: str, login_id: str | None, now: int) -> Unit[Device | None]:
    """Confirms it for a login, or (None) refuses it; None: it does not wait any more."""
    device = yield from device_named(user_code, now)
    if device is None:
        return None
    state = DeviceState.DENIED if login_id is None else DeviceState.APPROVED
    moved = yield run(statements.DEVICE_MOVE, device.sha256, str(DeviceState.PENDING), str(state), login_id or "")
    return device if moved else None


def poll_device(device_sha256: str, made: Made, now: int) -> Unit[Session | Problem]:
    """Begins the session of a device whose code was confirmed, once (RFC 8628 §3.5)."""
    yield run(statements.FEED_LOCK)
    found = yield run(statements.DEVICE, device_sha256)
    if not found:
        return problem(Code.INVALID_GRANT, detail="the device code is not a known one")
    device = _device(found[0])
    if device.state is DeviceState.SPENT:
        return problem(Code.INVALID_GRANT, detail="the device code was used before")
    if device.expires_at <= now:
        return problem(Code.DEVICE_CODE_EXPIRED)
    if device.state is DeviceState.DENIED:
        return problem(Code.AUTHORIZATION_REFUSED)
    if device.state is DeviceState.PENDING:
        soon = now - device.polled_at < device.poll_seconds * SECOND
        seconds = device.poll_seconds + (SLOWER_SECONDS if soon else 0)
        yield run(statements.DEVICE_POLLED, device_sha256, now, seconds)
        return problem(Code.POLLED_TOO_SOON, seconds=seconds) if soon else problem(Code.AUTHORIZATION_PENDING)
    approved, spent = str(DeviceState.APPROVED), str(DeviceState.SPENT)
    if not (yield run(statements.DEVICE_MOVE, device_sha256, approved, spent, device.login_id)):
        return problem(Code.INVALID_GRANT, detail="the device code was used before")
    return (yield from _begun(*made(device.login_id, device.label), now))


def add_setup_code(code_sha256: str, now: int, expires_at: int) -> Unit[None]:
    yield run(statements.SETUP_CODE_ADD, code_sha256, now, expires_at)


def spend_setup_code(code_sha256: str, now: int) -> Unit[None]:
    """Raises ProblemError when it is not good."""
    if not (yield run(statements.SETUP_CODE_SPEND, code_sha256, now)):
        raise ProblemError(problem(Code.SETUP_CODE_REFUSED))


def _begun(session: Session, tokens: list[Token], now: int) -> Unit[Session | Problem]:
    """As `sessions.begin`; but what was spent stays spent, so that a refusal is a value."""
    try:
        return (yield from sessions.begin(session, tokens, now))
    except ProblemError as error:
        return error.problem


def _device(row: Row) -> Device:
    sha256, user_code, label, address, state, *rest = row
    return Device(sha256, user_code, label, address, DeviceState(state), *rest)
