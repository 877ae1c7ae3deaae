"""The edge of sign-in: HTTP in, pages and tokens out. It adds its routes to the application that the API made.

What always holds: every page has a policy under which no script runs, no other site frames it and its forms lead to us
or to the one place it names; a parameter that stands twice is refused; cookies are for this host only, over TLS, out of
reach of scripts; an error, whoever made it, is a page for people and an RFC 6749 answer for programs, each with a code
of the catalogue; what another site has a browser ask for behind its user's back is refused before it can count as
anybody's failed try.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import jinja2
from quart import Blueprint, Response, g, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.login.arriving import Arriving
from appliance.login.authorizing import Authorizing
from appliance.login.devices import Devices
from appliance.login.exchanging import Exchanging
from appliance.login.leaving import Leaving
from appliance.login.parties import Parties
from appliance.login.parts import LoginParts
from appliance.login.rereading import Rereading
from appliance.login.setting_up import SettingUp
from appliance.login.token_endpoint import TokenEndpoint
from appliance.login.visits import Cookie, Json, Page, Redirect, Shown, Visit, origin_of

OAUTH: Final = "/fairlead/v1/oauth"
EXCHANGE: Final = "/fairlead/v1/token"  # of others' tokens, for machines
MAX_FORM_BYTES: Final = 32 * 1024  # an authorization request and a token fit several times
MAX_FIELDS: Final = 32

#: RFC 6749 §5.2 and RFC 8628 §3.5; what is not here is `invalid_request`, or `temporarily_unavailable` from 429 on.
_OAUTH_ERRORS: Final = {
    Code.INVALID_CLIENT: "invalid_client",
    Code.INVALID_GRANT: "invalid_grant",
    Code.GRANT_REPLAYED: "invalid_grant",
    Code.SESSION_ENDED: "invalid_grant",
    Code.EXCHANGE_REFUSED: "invalid_grant",
    Code.TOKEN_REPLAYED: "invalid_grant",
    Code.SETUP_CODE_REFUSED: "invalid_grant",
    Code.UNSUPPORTED_GRANT_TYPE: "unsupported_grant_type",
    Code.AUTHORIZATION_PENDING: "authorization_pending",
    Code.POLLED_TOO_SOON: "slow_down",
    Code.AUTHORIZATION_REFUSED: "access_denied",
    Code.DEVICE_CODE_EXPIRED: "expired_token",
    Code.INTERNAL_ERROR: "server_error",
}

log = logging.getLogger("fairlead.login")

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("appliance.login", "pages"), autoescape=True, undefined=jinja2.StrictUndefined
)
_STYLE: Final = (files("appliance.login") / "pages" / "style.css").read_bytes()


@dataclass(frozen=True, slots=True)
class Place:
    """One route. `page`: it is for a browser, and so are its errors. `spends`: it changes something, as a POST does."""

    method: str
    path: str
    answer: Callable[[Visit], Awaitable[Shown]]
    page: bool = True
    spends: bool = False


def mount(app: QuartTrio, parts: LoginParts) -> Rereading:
    """Adds sign-in to the application; what is returned must be run beside it."""
    parties = Parties(parts)
    rereading = Rereading(parts, parties)
    ours = {str(number): place for number, place in enumerate(places(parts, parties, rereading))}
    site = Blueprint("sign-in", __name__)
    for name, place in ours.items():
        site.add_url_rule(place.path, endpoint=name, view_func=_view(parts, place), methods=[place.method])

    async def refused(error: ProblemError) -> Response:
        """Whoever refused, the limit on an address before any place is asked among them."""
        return _error(parts, ours[(request.endpoint or "").rpartition(".")[2]], error.problem)

    site.register_error_handler(ProblemError, refused)
    app.register_blueprint(site)
    app.add_url_rule("/fairlead/style.css", endpoint="style", view_func=_style, methods=["GET"])
    return rereading


def places(parts: LoginParts, parties: Parties, rereading: Rereading) -> Iterable[Place]:
    """Every way into sign-in."""
    arriving, authorizing, devices = Arriving(parts, parties), Authorizing(parts), Devices(parts)
    leaving, setting_up = Leaving(parts, parties), SettingUp(parts)
    tokens = TokenEndpoint(parts, rereading, setting_up)

    async def described(_: Visit) -> Json:
        return Json(metadata(parts.public_url, tokens.grants))

    return (
        Place("GET", "/fairlead/sign-in", arriving.choose),
        Place("GET", "/fairlead/sign-in/<provider>", arriving.start),
        Place("GET", "/fairlead/callback/<provider>", arriving.finish, spends=True),
        Place("GET", "/fairlead/authorize", authorizing.ask),
        Place("POST", "/fairlead/authorize", authorizing.answer),
        Place("GET", "/fairlead/device", devices.ask),
        Place("POST", "/fairlead/device", devices.answer),
        Place("GET", "/fairlead/setup", setting_up.ask),
        Place("POST", "/fairlead/setup", setting_up.answer),
        Place("GET", "/fairlead/home", leaving.home),
        Place("POST", "/fairlead/sign-out", leaving.leave),
        Place("GET", "/fairlead/signed-out", leaving.left),
        Place("GET", "/.well-known/oauth-authorization-server", described, page=False),
        Place("POST", f"{OAUTH}/device", devices.begin, page=False),
        Place("POST", f"{OAUTH}/token", tokens.tokens, page=False),
        Place("POST", f"{OAUTH}/revoke", tokens.revoke, page=False),
        Place("POST", EXCHANGE, Exchanging(parts).exchange, page=False),
    )


def metadata(public_url: str, grants: Iterable[str]) -> dict[str, object]:
    """What a client needs to know (RFC 8414)."""
    return {
        "issuer": public_url,
        "authorization_endpoint": f"{public_url}/fairlead/authorize",
        "token_endpoint": f"{public_url}{OAUTH}/token",
        "device_authorization_endpoint": f"{public_url}{OAUTH}/device",
        "revocation_endpoint": f"{public_url}{OAUTH}/revoke",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(grants),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": True,
    }


def _view(parts: LoginParts, place: Place) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        try:
            _check_origin(parts, place)
            shown = await place.answer(await _visit(parts, place, path))
        except ProblemError:
            raise  # to `refused`
        except HTTPException as error:  # of the framework, while it read the form
            return _error(parts, place, _of_framework(error))
        except tuple(parts.faults) as error:
            log.error("%s %s is refused: %s", place.method, place.path, error or type(error).__name__)  # noqa: TRY400 -- its own words are enough
            code = next(code for kind, code in parts.faults.items() if isinstance(error, kind))
            # Whether a write that failed was done, nobody knows.
            return _error(parts, place, problem(Code.OUTCOME_UNKNOWN if place.spends or _posts(place) else code))
        except Exception:
            log.exception("%s %s failed (%s)", place.method, place.path, g.correlation_id)
            return _error(parts, place, problem(Code.INTERNAL_ERROR))
        return _rendered(shown)

    return view


def _posts(place: Place) -> bool:
    return place.method == "POST"


def _check_origin(parts: LoginParts, place: Place) -> None:
    """Refuses what a page of another site asks for in the background (Fetch Metadata): it could have anyone's browser
    fail so often that their address is refused. Where browsers come by themselves, they say so or are no browsers.
    """
    shown_as = request.headers.get("Sec-Fetch-Dest", "document")
    origin = request.headers.get("Origin")
    if place.page and shown_as != "document":
        raise ProblemError(problem(Code.BAD_REQUEST, detail="this is a page, and something else asked for it"))
    if not place.page and origin is not None and origin != origin_of(parts.public_url):
        raise ProblemError(problem(Code.BAD_REQUEST, detail="this is not for the pages of other sites"))


def _of_framework(error: HTTPException) -> Problem:
    match error.code:
        case 408:
            return problem(Code.REQUEST_TIMEOUT)
        case 413:
            return problem(Code.PAYLOAD_TOO_LARGE, limit=f"{MAX_FORM_BYTES // 1024} KiB")
    return problem(Code.BAD_REQUEST, detail=error.name.lower())


async def _visit(parts: LoginParts, place: Place, path: dict[str, str]) -> Visit:
    form: dict[str, str] = {}
    if _posts(place):
        if request.mimetype != "application/x-www-form-urlencoded":
            raise ProblemError(problem(Code.UNSUPPORTED_MEDIA_TYPE, expected="application/x-www-form-urlencoded"))
        if (request.content_length or 0) > MAX_FORM_BYTES or len(await request.get_data()) > MAX_FORM_BYTES:
            raise ProblemError(problem(Code.PAYLOAD_TOO_LARGE, limit=f"{MAX_FORM_BYTES // 1024} KiB"))
        form = _single(await request.form)
    return Visit(
        path=path,
        query=_single(request.args),
        form=form,
        cookies=request.cookies.to_dict(),
        origin=request.headers.get("Origin"),
        address=request.remote_addr or "",
        now=parts.clock(),
        correlation_id=g.correlation_id,
    )


def _single(given: MultiDict[str, str]) -> dict[str, str]:
    found = list(given.items(multi=True))
    single = dict(found)
    if len(single) != len(found) or len(found) > MAX_FIELDS:
        raise ProblemError(problem(Code.BAD_REQUEST, detail="a parameter stands twice, or there are too many"))
    return single


def _rendered(shown: Shown) -> Response:
    match shown:
        case Page():
            response = Response(
                _templates.get_template(shown.template).render(shown.words),
                shown.status,
                content_type="text/html; charset=utf-8",
            )
            _protect(response, shown.form_to)
        case Redirect():
            response = Response(b"", 303)
            response.headers["Location"] = shown.url
            _protect(response, "")
        case Json():
            response = Response(json.dumps(shown.body), shown.status, content_type="application/json")
    for cookie in shown.cookies:
        _set(response, cookie)
    return response


def _protect(response: Response, form_to: str) -> None:
    """What a browser is to hold a page to."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; form-action 'self'{' ' + form_to if form_to else ''}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"  # stricter, and browsers leave Origin out of our own forms
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"


def _set(response: Response, cookie: Cookie) -> None:
    """Lax: the provider sends the browser back from its own site."""
    response.set_cookie(
        cookie.name, cookie.value, max_age=cookie.seconds, path="/", secure=True, httponly=True, samesite="Lax"
    )


def _error(parts: LoginParts, place: Place, found: Problem) -> Response:
    help_url = f"{parts.help_url}{found.code}"
    words = {"code": str(found.code), "correlation_id": g.correlation_id}
    if place.page:
        response = _rendered(Page("error.html", {**words, "message": found.message, "help": help_url}, found.status))
    else:
        usual = "temporarily_unavailable" if found.status >= 429 else "invalid_request"
        error = {"error": _OAUTH_ERRORS.get(found.code, usual), "error_description": found.message}
        response = _rendered(Json({**error, "error_uri": help_url, **words}, found.status))
    response.headers["X-Fairlead-Error-Code"] = str(found.code)
    response.headers["Link"] = f'<{help_url}>; rel="help"'
    if found.retry_after is not None:
        response.headers["Retry-After"] = str(found.retry_after)
    return response


async def _style() -> Response:
    return Response(_STYLE, content_type="text/css; charset=utf-8")
