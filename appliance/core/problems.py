"""The closed catalogue of what can go wrong for a caller: code, status, and a sentence that says what to do next.

Every refusal a user, an agent or an API client sees is one of these codes. A problem is a value; `ProblemError`
carries it where raising reads better (the admin API). The sentences stand here, and where a code needs several in
`wordings`, so that one reading shows whether each names the next step. No rendering: text, `Status` and problem+json
are made at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_META_CHARS = 256  # one header line each; a longer value would be cut by proxies on the way


class Code(StrEnum):
    """Stable: a code is never renamed and never given a second meaning."""

    # Who is asking
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105 -- the name of an error
    CREDENTIAL_EXPIRED = "CREDENTIAL_EXPIRED"
    CREDENTIAL_REVOKED = "CREDENTIAL_REVOKED"
    PERSON_DISABLED = "PERSON_DISABLED"
    SESSION_ENDED = "SESSION_ENDED"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    # How they sign in
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    ID_TOKEN_REFUSED = "ID_TOKEN_REFUSED"  # noqa: S105 -- the name of an error
    SIGN_IN_EXPIRED = "SIGN_IN_EXPIRED"
    SIGN_IN_ELSEWHERE = "SIGN_IN_ELSEWHERE"
    SIGN_IN_NOT_ALLOWED = "SIGN_IN_NOT_ALLOWED"
    CLAIM_UNUSABLE = "CLAIM_UNUSABLE"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    GROUP_OVERAGE = "GROUP_OVERAGE"
    USER_NAME_TAKEN = "USER_NAME_TAKEN"
    FORM_EXPIRED = "FORM_EXPIRED"
    INVALID_CLIENT = "INVALID_CLIENT"
    INVALID_GRANT = "INVALID_GRANT"
    GRANT_REPLAYED = "GRANT_REPLAYED"
    UNSUPPORTED_GRANT_TYPE = "UNSUPPORTED_GRANT_TYPE"
    AUTHORIZATION_PENDING = "AUTHORIZATION_PENDING"
    POLLED_TOO_SOON = "POLLED_TOO_SOON"
    AUTHORIZATION_REFUSED = "AUTHORIZATION_REFUSED"
    DEVICE_CODE_EXPIRED = "DEVICE_CODE_EXPIRED"
    USER_CODE_UNKNOWN = "USER_CODE_UNKNOWN"
    SETUP_CODE_REFUSED = "SETUP_CODE_REFUSED"
    # What may they
    CLUSTER_MISMATCH = "CLUSTER_MISMATCH"
    NO_ROLE_ASSIGNMENT = "NO_ROLE_ASSIGNMENT"
    ACCESS_WITHDRAWN = "ACCESS_WITHDRAWN"
    FORBIDDEN = "FORBIDDEN"
    NAMESPACE_FORBIDDEN = "NAMESPACE_FORBIDDEN"
    CLUSTER_SCOPE_FORBIDDEN = "CLUSTER_SCOPE_FORBIDDEN"
    RESERVED_IDENTITY = "RESERVED_IDENTITY"
    ESCALATION_FORBIDDEN = "ESCALATION_FORBIDDEN"
    SELF_APPROVAL_FORBIDDEN = "SELF_APPROVAL_FORBIDDEN"
    APPROVER_NOT_NAMED = "APPROVER_NOT_NAMED"
    REQUEST_OUTSIDE_POLICY = "REQUEST_OUTSIDE_POLICY"
    # What they sent
    BAD_REQUEST = "BAD_REQUEST"
    RESERVED_HEADER = "RESERVED_HEADER"
    WRONG_SERVER_PATH = "WRONG_SERVER_PATH"
    EXPECTATION_FAILED = "EXPECTATION_FAILED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    INVALID_DURATION = "INVALID_DURATION"
    INVALID_CURSOR = "INVALID_CURSOR"
    PRECONDITION_REQUIRED = "PRECONDITION_REQUIRED"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    # What does not exist, or exists already
    CLUSTER_NOT_FOUND = "CLUSTER_NOT_FOUND"
    AUTHORITY_CHANGING = "AUTHORITY_CHANGING"
    AUTHORITY_NOT_CHANGING = "AUTHORITY_NOT_CHANGING"
    AUTHORITY_IN_USE = "AUTHORITY_IN_USE"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    ROLE_NOT_FOUND = "ROLE_NOT_FOUND"
    ASSIGNMENT_NOT_FOUND = "ASSIGNMENT_NOT_FOUND"
    CREDENTIAL_NOT_FOUND = "CREDENTIAL_NOT_FOUND"
    MACHINE_NOT_FOUND = "MACHINE_NOT_FOUND"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    MACHINE_TOKEN_NOT_FOUND = "MACHINE_TOKEN_NOT_FOUND"  # noqa: S105 -- the name of an error
    TRUST_RULE_NOT_FOUND = "TRUST_RULE_NOT_FOUND"
    REQUEST_POLICY_NOT_FOUND = "REQUEST_POLICY_NOT_FOUND"
    REQUEST_NOT_FOUND = "REQUEST_NOT_FOUND"
    AUDIT_EVENT_NOT_FOUND = "AUDIT_EVENT_NOT_FOUND"
    WEBHOOK_NOT_FOUND = "WEBHOOK_NOT_FOUND"
    DUPLICATE_CLUSTER_NAME = "DUPLICATE_CLUSTER_NAME"
    DUPLICATE_ROLE_NAME = "DUPLICATE_ROLE_NAME"
    DUPLICATE_USER_NAME = "DUPLICATE_USER_NAME"
    DUPLICATE_MACHINE_NAME = "DUPLICATE_MACHINE_NAME"
    DUPLICATE_PROVIDER = "DUPLICATE_PROVIDER"
    PROVIDER_IN_USE = "PROVIDER_IN_USE"
    ROLE_IN_USE = "ROLE_IN_USE"
    LAST_ADMINISTRATOR = "LAST_ADMINISTRATOR"
    STATIC_ASSIGNMENT_EXISTS = "STATIC_ASSIGNMENT_EXISTS"
    PENDING_REQUEST_EXISTS = "PENDING_REQUEST_EXISTS"
    REQUEST_NOT_PENDING = "REQUEST_NOT_PENDING"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    ALREADY_APPROVED = "ALREADY_APPROVED"
    GRANT_ALREADY_ACTIVE = "GRANT_ALREADY_ACTIVE"
    GRANT_NOT_APPROVED = "GRANT_NOT_APPROVED"
    GRANT_ALREADY_REVOKED = "GRANT_ALREADY_REVOKED"
    GRANT_ALREADY_EXPIRED = "GRANT_ALREADY_EXPIRED"
    INVALID_BOOTSTRAP_TOKEN = "INVALID_BOOTSTRAP_TOKEN"  # noqa: S105 -- the name of an error
    TOO_MANY_MACHINE_TOKENS = "TOO_MANY_MACHINE_TOKENS"
    TOO_MANY_TRUST_RULES = "TOO_MANY_TRUST_RULES"
    TOO_MANY_WEBHOOKS = "TOO_MANY_WEBHOOKS"
    EXCHANGE_REFUSED = "EXCHANGE_REFUSED"
    TOKEN_REPLAYED = "TOKEN_REPLAYED"  # noqa: S105 -- the name of an error
    ISSUER_UNAVAILABLE = "ISSUER_UNAVAILABLE"
    # Too much
    RATE_LIMITED = "RATE_LIMITED"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
    # On the way to the cluster
    AGENT_NOT_CONNECTED = "AGENT_NOT_CONNECTED"
    AGENT_REFUSED = "AGENT_REFUSED"
    AGENT_CREDENTIAL_REFUSED = "AGENT_CREDENTIAL_REFUSED"
    TUNNEL_BUSY = "TUNNEL_BUSY"
    TUNNEL_LOST = "TUNNEL_LOST"
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"
    UPSTREAM_TLS_FAILED = "UPSTREAM_TLS_FAILED"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_LOST = "UPSTREAM_LOST"
    # Ourselves
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    STORE_STALE = "STORE_STALE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL_ERROR = "INTERNAL_ERROR"


CATALOGUE: dict[Code, tuple[int, str]] = {
    Code.AUTHENTICATION_REQUIRED: (
        401,
        "No credential was sent. Sign in again and use the kubeconfig you get, or ask your administrator for one.",
    ),
    Code.INVALID_TOKEN: (
        401,
        "The token is not one this appliance accepts: {detail}. Get a new kubeconfig credential and try again.",
    ),
    Code.CREDENTIAL_EXPIRED: (401, "Your kubeconfig credential expired at {expired_at}. Get a new one and try again."),
    Code.CREDENTIAL_REVOKED: (401, "Your kubeconfig credential was revoked. Get a new one, or ask your administrator."),
    Code.PERSON_DISABLED: (403, "Your account is disabled. Ask your administrator to enable it."),
    Code.SESSION_ENDED: (401, "Your session has ended: {why}. Sign in again."),
    Code.SESSION_EXPIRED: (401, "The access token has expired. Refresh it, or sign in again."),
    Code.PROVIDER_NOT_FOUND: (404, "There is no such identity provider here. Go to {path} to see which there are."),
    Code.PROVIDER_UNAVAILABLE: (
        503,
        "The identity provider {provider} cannot be used now. Try again; the appliance's log says why.",
    ),
    Code.PROVIDER_REFUSED: (
        403,
        "The identity provider {provider} did not sign you in: {detail}. Try again, or ask its administrator.",
    ),
    Code.ID_TOKEN_REFUSED: (
        403,
        "What the identity provider {provider} says of you cannot be believed: {detail}. Tell your administrator.",
    ),
    Code.SIGN_IN_EXPIRED: (
        400,
        "This sign-in is over: it was finished before, or it took longer than {minutes} minutes. Start again.",
    ),
    Code.SIGN_IN_ELSEWHERE: (
        403,
        "This sign-in was begun in another browser, so it cannot be finished here. Start again in this one.",
    ),
    Code.SIGN_IN_NOT_ALLOWED: (
        403,
        (
            "Your account at the identity provider may not sign in here: its claim {claim} is not one that is let in. "
            "Use another account, or ask your administrator."
        ),
    ),
    Code.CLAIM_UNUSABLE: (
        403,
        "What the identity provider says of you cannot be used: the claim {claim} {detail}. Ask your administrator.",
    ),
    Code.EMAIL_NOT_VERIFIED: (
        403,
        (
            "The identity provider does not say that your e-mail is verified, and people here are named by theirs. "
            "Verify it there, or ask your administrator."
        ),
    ),
    Code.GROUP_OVERAGE: (
        403,
        (
            "You are in more groups than the identity provider puts into a token, so your rights are not known. Ask "
            "your administrator to have it send only the groups that matter here."
        ),
    ),
    Code.USER_NAME_TAKEN: (
        403,
        "The name {name} belongs to somebody else here. Ask your administrator: names are never given twice.",
    ),
    Code.FORM_EXPIRED: (403, "This page is from another session, or was left open too long. Go back and reload it."),
    Code.INVALID_CLIENT: (400, "There is no client of that name that may ask for this. Check client_id."),
    Code.INVALID_GRANT: (400, "This is no longer good for a session, or never was: {detail}. Sign in again."),
    Code.GRANT_REPLAYED: (
        400,
        "This was used before, so somebody else may hold it: the session has been ended. Sign in again.",
    ),
    Code.UNSUPPORTED_GRANT_TYPE: (400, "That grant_type is not one of: {known}. Use one of those."),
    Code.AUTHORIZATION_PENDING: (400, "Nobody has confirmed the code yet. Ask again after the interval."),
    Code.POLLED_TOO_SOON: (400, "You ask too often. Wait {seconds} s between two tries."),
    Code.AUTHORIZATION_REFUSED: (400, "The sign-in was refused in the browser. Start again if it was a mistake."),
    Code.DEVICE_CODE_EXPIRED: (400, "The code was not confirmed in time. Start again."),
    Code.USER_CODE_UNKNOWN: (404, "There is no such code, or it has expired. Compare it with the one you were shown."),
    Code.SETUP_CODE_REFUSED: (
        403,
        "The setup code is unknown, used or expired. Make one on the appliance's host with `fairlead setup-code`.",
    ),
    Code.CLUSTER_MISMATCH: (
        403,
        "This kubeconfig credential is for another cluster. Get one for cluster {cluster}, or switch context.",
    ),
    Code.NO_ROLE_ASSIGNMENT: (
        403,
        "You have no role on cluster {cluster}. {remedy}",
    ),
    Code.ACCESS_WITHDRAWN: (
        403,
        "What allowed this on cluster {cluster} was withdrawn while it ran. If you still have access, send it again.",
    ),
    Code.FORBIDDEN: (
        403,
        "No role of yours in Fairlead allows this on cluster {cluster}: {action}. {remedy}",
    ),
    Code.NAMESPACE_FORBIDDEN: (
        403,
        (
            "Your roles in Fairlead allow this on cluster {cluster} only in {namespaces}, not {asked}: {action}. Name "
            "an allowed one, for example with: -n {example}"
        ),
    ),
    Code.CLUSTER_SCOPE_FORBIDDEN: (
        403,
        (
            "Your roles in Fairlead for this on cluster {cluster} hold only in {namespaces}, and this reaches beyond: "
            "{action}. {remedy}"
        ),
    ),
    Code.RESERVED_IDENTITY: (
        403,
        (
            "The name or a group of this account is reserved for Kubernetes itself ({detail}). Ask your administrator "
            "to rename it."
        ),
    ),
    Code.ESCALATION_FORBIDDEN: (
        403,
        "You cannot give what you do not hold: {detail}. Ask someone who holds it, or who may escalate roles.",
    ),
    Code.SELF_APPROVAL_FORBIDDEN: (
        403,
        "Nobody approves a request of their own, or one they asked for. Ask another approver to look at it.",
    ),
    Code.APPROVER_NOT_NAMED: (
        403,
        "The request policy names who approves, and that is not you. Ask one of those it names.",
    ),
    Code.REQUEST_OUTSIDE_POLICY: (
        403,
        "The request policy does not allow this request: {detail}. Ask for what it allows, or ask its administrator.",
    ),
    Code.BAD_REQUEST: (400, "The request is not well formed: {detail}. Correct it and send it again."),
    Code.RESERVED_HEADER: (
        400,
        (
            "The header {header} is reserved: identity comes from your credential. Remove it (kubectl: drop --as, "
            "--as-group and --as-uid)."
        ),
    ),
    Code.WRONG_SERVER_PATH: (
        403,
        (
            "A kubeconfig credential is only good below {path}, and this request is not. Use `kubectl get --raw "
            "{path}/...` with the whole path, or `kubectl proxy --append-server-path`."
        ),
    ),
    Code.EXPECTATION_FAILED: (417, "Only `Expect: 100-continue` is understood. Send the request without that header."),
    Code.PAYLOAD_TOO_LARGE: (413, "The body is larger than {limit}. Send less in one request."),
    Code.UNSUPPORTED_MEDIA_TYPE: (415, "This path takes {expected}. Send that, and say so in Content-Type."),
    Code.REQUEST_TIMEOUT: (408, "The request did not arrive in time. Check the connection and send it again."),
    Code.HEADERS_TOO_LARGE: (431, "The request's headers are too large. Remove those that are not needed."),
    Code.VALIDATION_ERROR: (422, "{field}: {detail}."),
    Code.INVALID_DURATION: (
        400,
        "The duration must be from {shortest} to {longest} seconds. Ask for less time, or more.",
    ),
    Code.INVALID_CURSOR: (
        400,
        "The cursor is not one that this list gave you with these filters. Leave it out to begin at the first page.",
    ),
    Code.PRECONDITION_REQUIRED: (
        428,
        "A change says what it changes. Send If-Match with the etag you have read, or If-Match: * whatever is there.",
    ),
    Code.PRECONDITION_FAILED: (
        412,
        "Somebody changed it after you read it, and nothing was done. Read it again and make your change to that.",
    ),
    Code.ROUTE_NOT_FOUND: (404, "There is nothing at this path. Check it against the API reference."),
    Code.METHOD_NOT_ALLOWED: (405, "This path does not take that method. Check it against the API reference."),
    Code.AUTHORITY_CHANGING: (409, "The authority is being changed already. Finish that change first."),
    Code.AUTHORITY_NOT_CHANGING: (409, "There is no newer authority to change to. Begin a change first."),
    Code.AUTHORITY_IN_USE: (
        409,
        (
            "Agents of these clusters have not renewed since the change began and would be cut off: {clusters}. Wait, "
            "or force it and give them new bundles."
        ),
    ),
    Code.CLUSTER_NOT_FOUND: (404, "There is no cluster {cluster}. Check the name, or get a new kubeconfig."),
    Code.USER_NOT_FOUND: (404, "There is no such person. List the people to see who is known."),
    Code.ROLE_NOT_FOUND: (404, "There is no such role. List the roles to see their ids."),
    Code.ASSIGNMENT_NOT_FOUND: (404, "There is no such binding. List the bindings to see their ids."),
    Code.CREDENTIAL_NOT_FOUND: (404, "There is no such credential; it may have expired. Nothing needs to be done."),
    Code.MACHINE_NOT_FOUND: (404, "There is no such machine. List the machines to see their ids."),
    Code.SESSION_NOT_FOUND: (404, "There is no such session; it may have ended. List the sessions to see their ids."),
    Code.REQUEST_POLICY_NOT_FOUND: (
        404,
        "There is no such request policy for you. List the request policies to see what can be asked for.",
    ),
    Code.REQUEST_NOT_FOUND: (404, "There is no such access request. List the access requests to see their ids."),
    Code.AUDIT_EVENT_NOT_FOUND: (404, "There is no such audit record. It may have been cut by the retention limit."),
    Code.WEBHOOK_NOT_FOUND: (404, "There is no such webhook. List the webhooks to see their ids."),
    Code.DUPLICATE_CLUSTER_NAME: (409, "A cluster of the name {name} exists. Choose another name."),
    Code.DUPLICATE_ROLE_NAME: (409, "A role of the name {name} exists. Choose another name."),
    Code.DUPLICATE_USER_NAME: (409, "A person of the name {name} exists. Choose another name."),
    Code.DUPLICATE_MACHINE_NAME: (409, "A machine of the name {name} exists. Choose another name."),
    Code.DUPLICATE_PROVIDER: (409, "A provider of this slug or issuer exists. Change that one, or choose others."),
    Code.PROVIDER_IN_USE: (409, "People have signed in with this provider. Disable it, or delete those people first."),
    Code.ROLE_IN_USE: (409, "The role is used by {count} bindings or request policies. Remove those first."),
    Code.LAST_ADMINISTRATOR: (
        409,
        "Nobody would be left who holds roles:escalate everywhere. Give it to someone else first.",
    ),
    Code.STATIC_ASSIGNMENT_EXISTS: (409, "They hold this role there already. Nothing needs to be asked for."),
    Code.PENDING_REQUEST_EXISTS: (
        409,
        "The same request is already waiting for an answer. Wait for it, or have it denied first.",
    ),
    Code.REQUEST_NOT_PENDING: (409, "The request is {state} already. Make a new one if access is still needed."),
    Code.REQUEST_EXPIRED: (409, "Nobody answered the request in time. Make a new one if access is still needed."),
    Code.ALREADY_APPROVED: (409, "You have approved this request already. Someone else must approve it too."),
    Code.GRANT_ALREADY_ACTIVE: (409, "This role is granted there already. Wait until it ends, or have it revoked."),
    Code.GRANT_NOT_APPROVED: (409, "The request is {state}, so there is no grant to revoke. Nothing needs to be done."),
    Code.GRANT_ALREADY_REVOKED: (409, "The grant was revoked already. Nothing needs to be done."),
    Code.GRANT_ALREADY_EXPIRED: (409, "The grant ended by itself. Nothing needs to be done."),
    Code.INVALID_BOOTSTRAP_TOKEN: (
        401,
        "The bootstrap token is unknown, spent or expired. Make a new bundle for the cluster and install it.",
    ),
    Code.MACHINE_TOKEN_NOT_FOUND: (404, "There is no such token of this machine. List its tokens to see their ids."),
    Code.TRUST_RULE_NOT_FOUND: (404, "There is no such trust rule. List the trust rules to see their ids."),
    Code.TOO_MANY_MACHINE_TOKENS: (409, "The machine has {limit} tokens, the most there may be. Remove one first."),
    Code.TOO_MANY_TRUST_RULES: (409, "There are {limit} trust rules, the most there may be. Remove one first."),
    Code.TOO_MANY_WEBHOOKS: (409, "There are {limit} webhooks, the most there may be. Remove one first."),
    Code.EXCHANGE_REFUSED: (
        400,
        "The token is not exchanged: {detail}. Compare its issuer, audience and claims with the trust rule's.",
    ),
    Code.TOKEN_REPLAYED: (
        400,
        "The token was exchanged before, and its trust rule lets that happen once. Have the issuer make a new one.",
    ),
    Code.ISSUER_UNAVAILABLE: (
        503,
        "The keys of the token's issuer cannot be had now. Try again; the appliance's log says why.",
    ),
    Code.RATE_LIMITED: (429, "Too many requests. Wait {seconds} s and try again."),
    Code.TOO_MANY_STREAMS: (
        429,
        "You have {limit} requests open on this cluster, the most allowed. Close some and try again.",
    ),
    Code.AGENT_NOT_CONNECTED: (
        502,
        "The agent of cluster {cluster} is not connected. Check that its pod runs and can reach the appliance.",
    ),
    Code.AGENT_REFUSED: (
        403,
        "The owner of cluster {cluster} does not allow this: {detail}. Ask them to change its guard.",
    ),
    Code.AGENT_CREDENTIAL_REFUSED: (
        502,
        "The API server of cluster {cluster} refused the agent itself. Its owner should check the service account.",
    ),
    Code.TUNNEL_BUSY: (503, "The tunnel to cluster {cluster} is full. Nothing was started; try again in a moment."),
    Code.TUNNEL_LOST: (
        502,
        "The tunnel to cluster {cluster} broke. The request may have been carried out: look before you repeat it.",
    ),
    Code.UPSTREAM_UNREACHABLE: (
        502,
        "The agent cannot reach the API server of cluster {cluster}. Nothing was started; check the API server.",
    ),
    Code.UPSTREAM_TLS_FAILED: (
        502,
        "The agent does not trust the certificate of the API server of cluster {cluster}. Check the agent's CA file.",
    ),
    Code.UPSTREAM_TIMEOUT: (504, "The API server of cluster {cluster} did not answer in time. Try again."),
    Code.UPSTREAM_LOST: (
        502,
        (
            "The API server of cluster {cluster} closed the connection. The request may have been carried out: look "
            "before you repeat it."
        ),
    ),
    Code.AUDIT_UNAVAILABLE: (
        503,
        "The audit record cannot be kept, so nothing was started. Try again; the appliance's log says why.",
    ),
    Code.STORE_STALE: (
        503,
        ("The appliance cannot read its store, so nothing was started. Try again; the appliance's log says why."),
    ),
    Code.OUTCOME_UNKNOWN: (
        503,
        (
            "The appliance's database failed meanwhile, so your change may have been made or not. Look before you try "
            "again; the appliance's log says why."
        ),
    ),
    Code.SHUTTING_DOWN: (503, "The appliance is stopping. Try again in a moment."),
    Code.INTERNAL_ERROR: (500, "Something went wrong in the appliance. Give your administrator the correlation id."),
}


# What helps whoever holds no role for what they want: the word `remedy` of the sentences above.
ASK_ADMINISTRATOR = "Ask your administrator for a role that allows it; nothing else needs to change."
ASK_FOR_THE_WHOLE = "Ask your administrator for a role on the whole cluster."
ASK_FOR_IT = "You may ask for a role that allows it with: {command}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. `meta` becomes header lines and JSON members; `retry_after` is whole seconds, at least 1."""

    code: Code
    message: str
    meta: tuple[tuple[str, str], ...] = ()
    retry_after: int | None = None

    @property
    def status(self) -> int:
        return CATALOGUE[self.code][0]


class ProblemError(Exception):
    """Raised where a problem ends a call; the edge renders `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem


def problem(
    code: Code, /, *, meta: tuple[tuple[str, str], ...] = (), retry_after: int | None = None, **words: object
) -> Problem:
    """The catalogue's sentence for `code` with its words filled in; a missing word is our bug and raises KeyError."""
    shown = tuple((name, _plain(value)[:MAX_META_CHARS]) for name, value in meta)
    return Problem(code, filled(CATALOGUE[code][1], words), shown, retry_after)


def filled(sentence: str, words: Mapping[str, object]) -> str:
    return sentence.format_map({name: _plain(str(word)) for name, word in words.items()})


def remedy(command: str | None, otherwise: str = ASK_ADMINISTRATOR) -> str:
    """What to do without a role: ask for one with this command, or ask whoever gives them."""
    return otherwise if command is None else ASK_FOR_IT.format(command=command)


def _plain(text: str) -> str:
    """No control character leaves through an error: it would split a header or move a terminal's cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
