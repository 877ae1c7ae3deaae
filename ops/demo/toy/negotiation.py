"""What form of an answer the client asks for: plain objects, a Table, metadata only, or a form of discovery.

The toy cluster speaks JSON. A client that takes nothing but protobuf is told so with 406.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.demo.toy.statuses import ApiError


@dataclass(frozen=True, slots=True)
class Form:
    """The chosen form: `what` is "" for the object itself, else the kind it is turned into."""

    what: str
    version: str
    content_type: str


PLAIN = Form("", "", "application/json")


def _parts(accept: str) -> list[tuple[str, dict[str, str]]]:
    clauses = []
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        pairs = dict(part.split("=", 1) for part in parameters if "=" in part)
        clauses.append((media, pairs))
    return clauses


def choose(accept: str, known: dict[tuple[str, str], str]) -> Form:
    """The first form of `Accept` that is known. `known`: (as, version) -> group; plain JSON is always known."""
    for media, parameters in _parts(accept or "*/*"):
        if media not in {"application/json", "*/*", "application/*"}:
            continue
        wanted = parameters.get("as", "")
        if not wanted:
            return PLAIN
        version = parameters.get("v", "")
        group = known.get((wanted, version))
        if group is not None and parameters.get("g") == group:
            content_type = f"application/json;g={group};v={version};as={wanted}"
            return Form(wanted, version, content_type)
    message = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", message)


META = "meta.k8s.io"
_TABLE = {("Table", "v1"): META, ("Table", "v1beta1"): META}
OF_OBJECT = _TABLE | {("PartialObjectMetadata", "v1"): META, ("PartialObjectMetadata", "v1beta1"): META}
OF_LIST = _TABLE | {("PartialObjectMetadataList", "v1"): META, ("PartialObjectMetadataList", "v1beta1"): META}
OF_WATCH = OF_OBJECT
OF_DISCOVERY = {
    ("APIGroupDiscoveryList", "v2"): "apidiscovery.k8s.io",
    ("APIGroupDiscoveryList", "v2beta1"): "apidiscovery.k8s.io",
}
