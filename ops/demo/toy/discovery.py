"""Discovery: which groups, versions and kinds there are, in the aggregated and the plain forms."""

from __future__ import annotations

import hashlib

from ops.demo.toy import resources
from ops.demo.toy.exchange import Exchange, dump
from ops.demo.toy.negotiation import OF_DISCOVERY, choose
from ops.demo.toy.resources import Resource, Subresource
from ops.demo.toy.statuses import Object, no_such_path

VERSION = {
    "major": "1",
    "minor": "31",
    "gitVersion": "v1.31.0+toy",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "go0",
    "compiler": "none",
    "platform": "linux/amd64",
}
"""Within one minor of most kubectl versions in use; it runs no Go, and says so."""


async def serve(exchange: Exchange) -> None:
    """Answer /api, /apis, /api/v1, /apis/{group} and /apis/{group}/{version}."""
    steps = exchange.path.strip("/").split("/")
    if len(steps) == 1:
        form = choose(exchange.header("accept"), OF_DISCOVERY)
        if form.what:
            groups = [""] if steps == ["api"] else resources.groups()[1:]
            await _cached(exchange, _aggregated(groups, form.version), form.content_type)
        elif steps == ["api"]:
            address = {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}
            answer: Object = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
            await exchange.answer_json(200, answer)
        else:
            groups_plain = [_group(name) for name in resources.groups()[1:]]
            await exchange.answer_json(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups_plain})
        return
    choose(exchange.header("accept"), {})
    if len(steps) > (2 if steps[0] == "api" else 3):
        raise no_such_path()
    group, version = ("", steps[1]) if steps[0] == "api" else (steps[1], steps[2] if len(steps) > 2 else "")
    if group not in resources.groups():
        raise no_such_path()
    if not version:
        await exchange.answer_json(200, {**_group(group), "kind": "APIGroup", "apiVersion": "v1"})
    elif version == "v1":
        await exchange.answer_json(200, _resource_list(group, version))
    else:
        raise no_such_path()


async def _cached(exchange: Exchange, value: Object, content_type: str) -> None:
    """Aggregated discovery carries an ETag, so that clients ask for it only once."""
    body = dump(value)
    tag = '"' + hashlib.sha256(body).hexdigest()[:32].upper() + '"'
    headers = [("etag", tag), ("vary", "Accept")]
    if exchange.header("if-none-match") == tag:
        await exchange.answer(304, b"", content_type, headers)
    else:
        await exchange.answer(200, body, content_type, headers)


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _aggregated(groups: list[str], version: str) -> Object:
    items = []
    for name in groups:
        known = [_aggregated_resource(resource) for resource in resources.of_group(name)]
        versions = [{"version": "v1", "resources": known, "freshness": "Current"}]
        items.append({"metadata": {"name": name, "creationTimestamp": None}, "versions": versions})
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _aggregated_resource(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {
                    "group": sub.group if sub.kind else resource.group,
                    "version": (sub.version if sub.kind else "") or resource.version,
                    "kind": sub.kind or resource.kind,
                },
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources
        ]
    return entry


def _resource_list(group: str, version: str) -> Object:
    entries: list[Object] = []
    for resource in resources.of_group(group):
        entry: Object = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries += [entry, *(_plain_subresource(resource, sub) for sub in resource.subresources)]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _plain_subresource(resource: Resource, sub: Subresource) -> Object:
    entry: Object = {
        "name": f"{resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind or resource.kind,
        "verbs": list(sub.verbs),
    }
    if sub.group:
        entry |= {"group": sub.group, "version": sub.version}
    return entry
