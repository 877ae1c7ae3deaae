"""The route at which tokens of others are exchanged: a form in, JSON out, errors as RFC 6749 §5.2 has them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from quart import Response, g, request
from quart_trio import QuartTrio

from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.login.exchanging import Asked, Exchanging
from appliance.login.issuers import Issuers
from appliance.login.parts import LoginParts

PATH: Final = "/fairlead/v1/token"
FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 8

_ERRORS: Final = {Code.EXCHANGE_REFUSED: "invalid_grant", Code.TOKEN_REPLAYED: "invalid_grant"}


def mount(app: QuartTrio, parts: LoginParts) -> None:
    """Adds the route to an application, whose own errors and limits hold for it, too."""
    issuers = Issuers(parts.dialler.get)
    exchanging = Exchanging(parts.snapshot, parts.write, parts.record, issuers, parts.failures)

    async def exchanged() -> Response:
        try:
            asked = Asked(await _form(), request.remote_addr or "", g.correlation_id, parts.clock())
            answer = await exchanging.exchange(asked)
        except ProblemError as error:
            return _refusal(error.problem)
        return Response(json.dumps(answer), content_type="application/json")

    view: Callable[[], Awaitable[Response]] = exchanged
    app.add_url_rule(PATH, endpoint="token exchange", view_func=view, methods=["POST"])


async def _form() -> dict[str, str]:
    if request.mimetype != FORM:
        raise ProblemError(problem(Code.UNSUPPORTED_MEDIA_TYPE, expected=FORM))
    given = list((await request.form).items(multi=True))
    form = dict(given)
    if request.args or len(form) != len(given) or len(form) > MAX_FIELDS:
        raise ProblemError(problem(Code.BAD_REQUEST, detail="a parameter stands twice, or in the URL"))
    return form


def _refusal(found: Problem) -> Response:
    help_url = f"{g.help_url}{found.code}"
    document = {
        "error": _ERRORS.get(found.code, "temporarily_unavailable" if found.status >= 429 else "invalid_request"),
        "error_description": found.message,
        "error_uri": help_url,
        "code": found.code,
        "correlation_id": g.correlation_id,
    }
    response = Response(json.dumps(document), found.status, content_type="application/json")
    response.headers["X-Fairlead-Error-Code"] = found.code
    response.headers["Link"] = f'<{help_url}>; rel="help"'
    if found.retry_after is not None:
        response.headers["Retry-After"] = str(found.retry_after)
    return response
