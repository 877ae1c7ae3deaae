"""The statements of webhooks and of what is owed to them; the rules of `statements` hold here, too."""

from __future__ import annotations

WEBHOOKS = "SELECT id, url, notices, description, created_at, created_by FROM webhooks ORDER BY created_at, id"
WEBHOOK = "SELECT id, url, notices, description, created_at, created_by FROM webhooks WHERE id = $1"
WEBHOOKS_COUNT = "SELECT count(*) FROM webhooks"
WEBHOOK_ADD = (
    "INSERT INTO webhooks (id, url, notices, description, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)"
)
WEBHOOK_REMOVE = "DELETE FROM webhooks WHERE id = $1"

DELIVERY_ADD = (
    "INSERT INTO deliveries (id, webhook_id, notice, body, created_at, tries, next_at, state, status, error, done_at) "
    "VALUES ($1, $2, $3, $4, $5, 0, $5, $6, NULL, '', NULL)"
)
DELIVERIES_OF = (
    "SELECT id, webhook_id, notice, body, created_at, tries, next_at, state, status, error, done_at FROM deliveries "
    "WHERE webhook_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
)
DELIVERIES_COUNT = "SELECT webhook_id, state, count(*) FROM deliveries GROUP BY webhook_id, state"
DELIVERIES_DUE = "SELECT DISTINCT webhook_id FROM deliveries WHERE state = $1 AND next_at <= $2 ORDER BY webhook_id"
DELIVERY_NEXT = (
    "SELECT id FROM deliveries WHERE webhook_id = $1 AND state = $2 AND next_at <= $3 ORDER BY next_at, id LIMIT 1"
)
DELIVERY_TAKE = (
    "UPDATE deliveries SET tries = tries + 1, next_at = $4 WHERE id = $1 AND state = $2 AND next_at <= $3 "
    "RETURNING id, webhook_id, notice, body, created_at, tries, next_at, state, status, error, done_at"
)
DELIVERY_SET = (
    "UPDATE deliveries SET state = $2, next_at = $3, status = $4, error = $5, done_at = $6, body = $7 "
    "WHERE id = $1 AND state = $8 AND tries = $9 RETURNING id"
)
DELIVERIES_RESUME = "UPDATE deliveries SET next_at = $2 WHERE state = $1 AND next_at > $2"
DELIVERIES_REMOVE = "DELETE FROM deliveries WHERE webhook_id = $1"
DELIVERIES_FORGET = "DELETE FROM deliveries WHERE done_at < $1"
