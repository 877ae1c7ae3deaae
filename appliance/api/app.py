"""The edge of the admin API: HTTP in, calls out, answers and problems back.

For every route, in this order: not too fast, who calls, may they, is the request well formed; only then the route's own
function runs. What always holds: every answer is JSON, carries X-Correlation-Id and traceresponse, and tells a browser
to do nothing with it; every error, the framework's own included, is problem+json (RFC 9457) with a code of the
catalogue; a refusal of rights is audited, and a call that may change something is, before it does; an exception that
nobody expected is logged with its correlation id and shown without its text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
import trio
from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.http import http_date

from appliance.api import bodies, configuration, manual
from appliance.api.bodies import BodyError
from appliance.api.callers import NOBODY, Caller, caller_of
from appliance.api.parts import Parts
from appliance.api.routes import PREFIX, Answer, Call, Proof, Route, checked
from appliance.api.token_uses import TokenUses
from appliance.core import versions
from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import CATALOGUE, Code, Problem, ProblemError, problem
from appliance.core.rights import Principal
from appliance.core.safe_headers import SAFE_HEADERS, TRANSPORT
from appliance.core.traces import trace_id, traceresponse
from appliance.core.wordings import Wording, worded

BODY_SECONDS: Final = 20  # for at most MAX_BODY_BYTES; slower is stuck or hostile
_CORRELATION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")  # what may come back in a header and stand in a log line


def make_app(parts: Parts, routes: Sequence[Route]) -> QuartTrio:
    """The ASGI application. Raises UndeclaredRouteError when a route is open."""
    app = QuartTrio("fairlead", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_SECONDS
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    uses = TokenUses()
    for route in checked(routes):
        app.add_url_rule(
            f"{PREFIX}/{route.path}",
            endpoint=f"{route.method} {route.path}",
            view_func=_view(parts, route, uses),
            methods=[route.method],
        )
    app.add_url_rule(
        configuration.PATH, endpoint="configuration", view_func=_configuration(parts), methods=[configuration.METHOD]
    )
    for path, view in manual.views(routes).items():
        app.add_url_rule(path, endpoint=path, view_func=view, methods=["GET"])
    app.before_request(partial(_begin, parts))
    app.after_request(partial(_finish, transport=parts.hsts))
    app.register_error_handler(ProblemError, lambda error: _reply(error.problem))
    app.register_error_handler(BodyError, _refuse_body)
    for fault, code in parts.faults.items():
        app.register_error_handler(fault, partial(_refuse_fault, parts, code))
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _refuse_unexpected)
    return app


def _view(parts: Parts, route: Route, uses: TokenUses) -> Callable[..., Awaitable[Response]]:
    """The one way to a route's function."""

    async def view(**path: str) -> Response:
        now = parts.clock()
        address = request.remote_addr or ""
        if route.proof is Proof.SHOWN_IN_BODY:
            return await _proved(parts, route, address, path, now)
        caller = await caller_of(request.headers.get("Authorization"), address, parts, now)
        if isinstance(caller, Problem):
            if caller.code is Code.INVALID_TOKEN:  # bounded: failed tries are limited before they get here
                await _record_refusal(parts, None, address, now, caller.code, caller.message)
            return _reply(caller)
        limited = parts.paces.refuse_caller(caller.principal.id, now)
        if limited is not None:
            return _reply(limited)
        held = caller.rights.anywhere if route.scoped else caller.rights.everywhere
        missing = [permission for permission in route.permissions if not held(permission)]
        if missing:
            rule = "needs " + ", ".join(route.permissions)
            await _record_refusal(parts, caller.principal, address, now, Code.FORBIDDEN, rule)
            where = "" if route.scoped else " everywhere"
            called = f"{route.method} {PREFIX}/{route.path}"
            return _reply(worded(Wording.NO_PERMISSION, call=called, needs=f"{', '.join(missing)}{where}"))
        if unfit := _unfit(route, caller):
            await _record_refusal(parts, caller.principal, address, now, Code.FORBIDDEN, "not for this kind of caller")
            return _reply(worded(unfit))
        await uses.note(parts, caller.token, now)
        for binding_id in caller.rights.bindings(route.permissions):
            parts.uses.note_one(binding_id, now)
        if route.method == "GET":
            return _render(await route.answer(await _call(parts, route, caller, address, path, now)))
        # On the disk before anything is changed; what was changed is recorded when it was. Killed in between, there is
        # this.
        await _record(parts, EventType.API_CALLED, caller.principal, address, now)
        return await _changed(parts, route, await _call(parts, route, caller, address, path, now))

    return view


async def _proved(parts: Parts, route: Route, address: str, path: Mapping[str, str], now: int) -> Response:
    """A route that checks its caller's proof itself. Failed tries count like those with a wrong token."""
    limited = parts.failures.refuse(address, now)
    if limited is not None:
        return _reply(limited)
    call = await _call(parts, route, NOBODY, address, path, now)
    # Also here before anything is changed, but after the body was read: a stranger's nonsense fills no ledger.
    await _record(parts, EventType.API_CALLED, None, address, now)
    try:
        return await _changed(parts, route, call)
    except ProblemError as error:
        if error.problem.status == 401:
            parts.failures.failed(address, now)
        raise


async def _changed(parts: Parts, route: Route, call: Call) -> Response:
    """The answer of a route that may change something: when store or ledger fail now, nobody knows whether it did."""
    try:
        return _render(await route.answer(call))
    except tuple(parts.faults) as error:
        _log_fault(parts, Code.OUTCOME_UNKNOWN, error)
        return _reply(problem(Code.OUTCOME_UNKNOWN))


async def _call(parts: Parts, route: Route, caller: Caller, address: str, path: Mapping[str, str], now: int) -> Call:
    condition = versions.condition(request.headers.get("If-Match")) if route.conditional else None
    if condition is None and "If-Match" in request.headers:  # whoever sends it relies on it
        raise ProblemError(problem(Code.BAD_REQUEST, detail="this route does not heed If-Match"))
    return Call(
        parts=parts,
        caller=caller.principal,
        rights=caller.rights,
        needs=route.permissions,
        path=path,
        query=_query(route),
        body=await _body(route),
        correlation_id=g.correlation_id,
        client_address=address,
        now=now,
        held=caller.held,
        token=caller.token,
        condition=condition,
    )


async def _body(route: Route) -> dict[str, Any]:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError(problem(Code.UNSUPPORTED_MEDIA_TYPE, expected="a body without Content-Encoding"))
    if route.body is None:
        if await request.get_data():
            raise BodyError("", "This route takes no body.")
        return {}
    if request.mimetype != "application/json":
        raise ProblemError(problem(Code.UNSUPPORTED_MEDIA_TYPE, expected="application/json"))
    raw = await request.get_data()
    assert isinstance(raw, bytes)
    return bodies.parse(raw, route.body)


def _query(route: Route) -> dict[str, Any]:
    given: dict[str, str] = {}
    known = {field.name for field in route.query}
    for name, value in request.args.items(multi=True):
        if name not in known or name in given:
            raise BodyError(f"?{name[:64]}", "There is no such query parameter here, or it stands twice.")
        given[name] = value
    found: dict[str, Any] = {}
    for field in route.query:
        if field.name in given:
            found[field.name] = field.read(f"?{field.name}", given[field.name])
        elif field.required:
            raise BodyError(f"?{field.name}", f"{field.name} is required.")
        else:
            found[field.name] = field.default
    return found


def _unfit(route: Route, caller: Caller) -> Wording | None:
    """Why a route is not for this kind of caller; None if it is."""
    if route.proof is Proof.SIGNED_IN and caller.held is None:
        return Wording.NOT_SIGNED_IN
    if route.proof is Proof.MACHINE and caller.token is None:
        return Wording.NOT_A_MACHINE
    return None


async def _record_refusal(
    parts: Parts, principal: Principal | None, address: str, now: int, code: Code, rule: str
) -> None:
    status = CATALOGUE[code][0]
    await _record(parts, EventType.API_DENIED, principal, address, now, status=status, code=code, rule=rule)


async def _record(
    parts: Parts,
    kind: EventType,
    principal: Principal | None,
    address: str,
    now: int,
    *,
    status: int = 0,
    code: str = "",
    rule: str = "",
) -> None:
    await parts.record(
        AuditEvent(
            now,
            kind,
            actor_id=principal.id if principal is not None else "",
            actor=principal.name if principal is not None else "",
            client_address=address,
            verb=request.method,
            path=request.path,
            status=status,
            code=code,
            correlation_id=g.correlation_id,
            rule=rule,
        )
    )


async def _begin(parts: Parts) -> None:
    """What every answer says, whichever route or none it is of; and how fast one address may ask."""
    g.help_url = parts.help_url
    traced = trace_id(request.headers.get("traceparent", "").encode("latin-1", "replace"))
    g.trace_id = traced.decode() if traced else secrets.token_hex(16)
    given = request.headers.get("X-Correlation-Id", "")
    g.correlation_id = given if _CORRELATION.fullmatch(given) else g.trace_id
    limited = parts.paces.refuse_address(request.remote_addr or "", parts.clock())
    if limited is not None:
        raise ProblemError(limited)  # which sign-in shows in its own ways


async def _finish(response: Response, *, transport: bool) -> Response:
    """A page of sign-in has said more exactly what it lets a browser do."""
    response.headers["X-Correlation-Id"] = g.correlation_id
    response.headers["Date"] = http_date()  # by it a client learns how wrong its own clock is
    response.headers["traceresponse"] = traceresponse(g.trace_id.encode()).decode()
    for name, value in SAFE_HEADERS:
        response.headers.setdefault(name, value)
    if transport:
        response.headers["Strict-Transport-Security"] = TRANSPORT
    return response


def _configuration(parts: Parts) -> Callable[[], Awaitable[Response]]:
    """Where everything is, for whoever asks: it opens nothing."""

    async def view() -> Response:
        return _render(Answer(200, configuration.document(parts.public_url, parts.help_url)))

    return view


def _render(answer: Answer) -> Response:
    if answer.body is None:
        return Response(b"", status=answer.status)
    response = Response(json.dumps(answer.body), status=answer.status, content_type="application/json")
    if "etag" in answer.body:
        response.headers["ETag"] = answer.body["etag"]
    return response


def _reply(found: Problem, field: str | None = None) -> Response:
    """A problem as RFC 9457 has it. `code` is for programs, `detail` for people."""
    help_url = f"{g.help_url}{found.code}"
    document: dict[str, Any] = {
        "type": help_url,
        "title": found.code.replace("_", " ").capitalize(),
        "status": found.status,
        "detail": found.message,
        "code": found.code,
        "correlation_id": g.correlation_id,
    }
    if field is not None:
        document["field"] = field
    document.update({name: value for name, value in found.meta if name not in document})
    response = Response(json.dumps(document), status=found.status, content_type="application/problem+json")
    response.headers["X-Fairlead-Error-Code"] = found.code
    response.headers["Link"] = f'<{help_url}>; rel="help"'
    if found.retry_after is not None:
        response.headers["Retry-After"] = str(found.retry_after)
    if found.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="fairlead"'
    return response


async def _refuse_body(error: BodyError) -> Response:
    detail = str(error).rstrip(".")
    return _reply(problem(Code.VALIDATION_ERROR, field=error.field or "body", detail=detail), error.field)


async def _refuse_fault(parts: Parts, code: Code, error: Exception) -> Response:
    _log_fault(parts, code, error)
    return _reply(problem(code))


def _log_fault(parts: Parts, code: Code, error: Exception) -> None:
    """Once for as long as it lasts, whoever calls."""
    if times := parts.outages.met(code, trio.current_time()):
        said = {"correlation_id": g.correlation_id, "path": request.path, "code": code, "times": times}
        structlog.get_logger().error("admin API call refused", why=str(error) or type(error).__name__, **said)


async def _refuse_http(error: HTTPException) -> Response:
    """What the framework refuses by itself."""
    if isinstance(error, MethodNotAllowed):
        response = _reply(problem(Code.METHOD_NOT_ALLOWED))
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response
    if isinstance(error, RequestEntityTooLarge):
        return _reply(problem(Code.PAYLOAD_TOO_LARGE, limit=f"{bodies.MAX_BODY_BYTES // 1024} KiB"))
    match error.code:
        case 404:
            return _reply(problem(Code.ROUTE_NOT_FOUND))
        case 408:
            return _reply(problem(Code.REQUEST_TIMEOUT))
        case code if code is not None and 400 <= code < 500:
            return _reply(problem(Code.BAD_REQUEST, detail=error.name.lower()))
    return await _refuse_unexpected(error)


async def _refuse_unexpected(error: Exception) -> Response:
    structlog.get_logger().error(
        "admin API call failed", correlation_id=g.correlation_id, path=request.path, exc_info=error
    )
    return _reply(problem(Code.INTERNAL_ERROR))
