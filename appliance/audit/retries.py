"""Which denial repeats another: kubectl and client-go try a refused request again, and a reader wants to know."""

from __future__ import annotations

from appliance.core.events import AuditEvent

RETRY_MICROS = 5_000_000  # kubectl's own second try comes at once, a person's not before this
MAX_REMEMBERED = 4_096  # denials; the oldest are forgotten first


class Retries:
    """Remembers denials for five seconds. Records stay one each: nothing is folded."""

    def __init__(self) -> None:
        self._tries: dict[tuple[str, ...], tuple[int, str]] = {}

    def mark(self, event: AuditEvent) -> AuditEvent:
        """The event, with `retry_of` if it is the second of two equal tries of one session and person."""
        if not event.correlation_id:
            return event
        key = (
            event.kubectl_session,
            event.actor_id or event.client_address,
            event.cluster_id,
            event.verb,
            event.api_group,
            event.resource,
            event.subresource,
            event.namespace,
            event.name,
            event.path,
        )
        earlier = self._tries.pop(key, None)
        if earlier is not None and 0 <= event.time - earlier[0] <= RETRY_MICROS:
            return event._replace(retry_of=earlier[1])
        if len(self._tries) >= MAX_REMEMBERED:
            del self._tries[next(iter(self._tries))]
        self._tries[key] = (event.time, event.correlation_id)
        return event
