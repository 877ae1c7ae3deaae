"""Reviews: questions about rights and identity that are answered and not stored."""

from __future__ import annotations

from ops.demo.toy.people import ADMIN_GROUPS, READING, VIEWER_GROUP, Action, Caller, may
from ops.demo.toy.statuses import Object, bad_request, no_such_path


def answer(kind: str, review: Object, caller: Caller) -> Object:
    """The review with its `status` filled in."""
    spec = review.get("spec") or {}
    if kind == "SelfSubjectReview":
        return {**review, "status": {"userInfo": caller.user_info()}}
    if kind == "SelfSubjectAccessReview":
        return {**review, "status": _access(caller, spec)}
    if kind in {"SubjectAccessReview", "LocalSubjectAccessReview"}:
        return {**review, "status": _access(_subject(spec), spec)}
    if kind == "SelfSubjectRulesReview":
        return {**review, "status": _rules(caller)}
    raise no_such_path()


def _subject(spec: Object) -> Caller:
    user, groups = spec.get("user") or "", tuple(spec.get("groups") or ())
    if not user and not groups:
        raise bad_request("spec.user: Invalid value: at least one of user or group must be specified")
    return Caller(user, groups, spec.get("uid") or "", impersonated=True)


def _access(caller: Caller, spec: Object) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if not (bool(resource) ^ bool(path)):
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    if resource:
        action = Action(
            verb=resource.get("verb", ""),
            group=resource.get("group", ""),
            resource=resource.get("resource", ""),
            subresource=resource.get("subresource", ""),
            namespace=resource.get("namespace", ""),
            name=resource.get("name", ""),
        )
    else:
        asked: Object = path or {}
        action = Action(verb=asked.get("verb", ""), path=asked.get("path") or "/")
    allowed = may(caller, action)
    return {"allowed": allowed, "reason": "the toy cluster's rules allow it"} if allowed else {"allowed": False}


def _rules(caller: Caller) -> Object:
    own = set(caller.groups) - {"system:authenticated", "system:unauthenticated"}
    verbs: list[str] = []
    if caller.impersonated and VIEWER_GROUP in own and not own & ADMIN_GROUPS:
        verbs = sorted(READING - {"head"})
    elif caller.impersonated and own:
        verbs = ["*"]
    selves = {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    }
    rules: list[Object] = [selves]
    paths: list[Object] = [{"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/version"]}]
    if verbs:
        rules.append({"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]})
        paths.append({"verbs": verbs, "nonResourceURLs": ["*"]})
    return {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False}
