"""Every statement the store runs, in SQL that SQLite and PostgreSQL read alike.

Parameters are `$1`, `$2`, ...; values are text and whole numbers. No casts with `::`, no engine's own functions, the
place of NULLs is written out. A test reads this module and holds that. Constants only: no statement is put together
at run time.
"""

# ruff: noqa: S105 -- a statement about tokens holds none

from __future__ import annotations

from typing import Final

USES_AT_ONCE: Final = 50  # bindings in one read: ten reads for the largest page

FEED_ADVANCE = "UPDATE feed SET head = head + 1 WHERE id = 1 RETURNING head"
FEED_HEAD = "SELECT head, (SELECT changed_at FROM changes WHERE number = $1) FROM feed WHERE id = 1"
FEED_LOCK = "UPDATE feed SET head = head WHERE id = 1 RETURNING head"
CHANGE_ADD = "INSERT INTO changes (number, entity, entity_id, changed_at) VALUES ($1, $2, $3, $4)"
CHANGES_AFTER = "SELECT number, entity, entity_id, changed_at FROM changes WHERE number > $1 ORDER BY number LIMIT $2"
# Up to the first that is to be kept, whatever the clocks said after it: the history has no gaps and keeps its end.
CHANGES_FORGET = (
    "DELETE FROM changes WHERE number < coalesce((SELECT min(number) FROM changes WHERE changed_at >= $1), "
    "(SELECT head FROM feed WHERE id = 1))"
)
FEED_EXTENT = (
    "SELECT head, (SELECT count(*) FROM changes), (SELECT min(number) FROM changes), (SELECT max(number) FROM changes) "
    "FROM feed WHERE id = 1"
)

CLUSTERS = "SELECT id, name, labels, generation, not_before, created_at FROM clusters ORDER BY id"
CLUSTER = "SELECT id, name, labels, generation, not_before, created_at FROM clusters WHERE id = $1"
CLUSTER_ADD = (
    "INSERT INTO clusters (id, name, labels, generation, not_before, created_at) VALUES ($1, $2, $3, $4, $5, $6) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)
CLUSTER_SET = "UPDATE clusters SET name = $2, labels = $3, generation = $4, not_before = $5 WHERE id = $1 RETURNING id"
CLUSTER_REMOVE = "DELETE FROM clusters WHERE id = $1 RETURNING id"
CLUSTER_NAMED = "SELECT id FROM clusters WHERE name = $1 AND id <> $2"
BINDINGS_OF_CLUSTER = "SELECT id FROM bindings WHERE cluster_id = $1 ORDER BY id"
CERTIFICATES_OF_CLUSTER = "SELECT serial FROM agent_certificates WHERE cluster_id = $1 ORDER BY serial"
BOOTSTRAP_TOKENS_REMOVE = "DELETE FROM bootstrap_tokens WHERE cluster_id = $1"

PEOPLE = "SELECT id, issuer, subject, name, email, groups_json, enabled, not_before, created_at FROM people ORDER BY id"
PERSON = (
    "SELECT id, issuer, subject, name, email, groups_json, enabled, not_before, created_at FROM people WHERE id = $1"
)
PERSON_OF_SUBJECT = (
    "SELECT id, issuer, subject, name, email, groups_json, enabled, not_before, created_at FROM people "
    "WHERE issuer = $1 AND subject = $2"
)
PERSON_LIKE = "SELECT id FROM people WHERE name = $1 OR (issuer = $2 AND subject = $3) ORDER BY id"
PERSON_ADD = (
    "INSERT INTO people (id, issuer, subject, name, email, groups_json, enabled, not_before, created_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id"
)
PERSON_SET = "UPDATE people SET email = $2, groups_json = $3, enabled = $4, not_before = $5 WHERE id = $1 RETURNING id"
PERSON_REMOVE = "DELETE FROM people WHERE id = $1 RETURNING id"

MACHINES = "SELECT id, name, created_at, created_by, not_before FROM machines ORDER BY id"
MACHINE = "SELECT id, name, created_at, created_by, not_before FROM machines WHERE id = $1"
MACHINE_NAMED = "SELECT id FROM machines WHERE name = $1"
MACHINE_ADD = (
    "INSERT INTO machines (id, name, created_at, created_by, not_before) VALUES ($1, $2, $3, $4, $5) "
    "ON CONFLICT DO NOTHING RETURNING id"
)
MACHINE_REFUSE = "UPDATE machines SET not_before = $2 WHERE id = $1 RETURNING id"
MACHINE_REMOVE = "DELETE FROM machines WHERE id = $1 RETURNING id"

MACHINE_TOKENS = (
    "SELECT id, machine_id, sha256, expires_at, label, rule_id, subject, created_at, created_by, used_at "
    "FROM machine_tokens ORDER BY id"
)
MACHINE_TOKEN = (
    "SELECT id, machine_id, sha256, expires_at, label, rule_id, subject, created_at, created_by, used_at "
    "FROM machine_tokens WHERE id = $1"
)
MACHINE_TOKENS_OF = (
    "SELECT id, machine_id, sha256, expires_at, label, rule_id, subject, created_at, created_by, used_at "
    "FROM machine_tokens WHERE machine_id = $1 ORDER BY id"
)
MACHINE_TOKENS_OF_RULE = "SELECT id FROM machine_tokens WHERE rule_id = $1 ORDER BY id"
MACHINE_TOKEN_ADD = (
    "INSERT INTO machine_tokens (id, machine_id, sha256, expires_at, label, rule_id, subject, created_at, created_by, "
    "used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
MACHINE_TOKEN_USE = "UPDATE machine_tokens SET used_at = $2 WHERE id = $1 RETURNING id"
MACHINE_TOKEN_END = "UPDATE machine_tokens SET expires_at = $2 WHERE id = $1 RETURNING id"
MACHINE_TOKEN_REMOVE = "DELETE FROM machine_tokens WHERE id = $1 RETURNING id"
MACHINE_TOKENS_FORGET = "DELETE FROM machine_tokens WHERE expires_at < $1"

TRUST_RULES = (
    "SELECT id, machine_id, issuer, audience, conditions_json, jwks, single_use, seconds, created_at, created_by "
    "FROM trust_rules ORDER BY id"
)
TRUST_RULE = (
    "SELECT id, machine_id, issuer, audience, conditions_json, jwks, single_use, seconds, created_at, created_by "
    "FROM trust_rules WHERE id = $1"
)
TRUST_RULES_OF = "SELECT id FROM trust_rules WHERE machine_id = $1 ORDER BY id"
TRUST_RULES_COUNT = "SELECT count(*) FROM trust_rules"
TRUST_RULE_ADD = (
    "INSERT INTO trust_rules (id, machine_id, issuer, audience, conditions_json, jwks, single_use, seconds, "
    "created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
TRUST_RULE_REMOVE = "DELETE FROM trust_rules WHERE id = $1 RETURNING id"
EXCHANGED_ADD = (
    "INSERT INTO exchanged (token_sha256, expires_at) VALUES ($1, $2) "
    "ON CONFLICT (token_sha256) DO NOTHING RETURNING token_sha256"
)
EXCHANGED_FORGET = "DELETE FROM exchanged WHERE expires_at < $1"

ROLES = "SELECT id, name, description, groups_json, rules_json, permissions_json, created_at FROM roles ORDER BY id"
ROLE = "SELECT id, name, description, groups_json, rules_json, permissions_json, created_at FROM roles WHERE id = $1"
ROLE_ADD = (
    "INSERT INTO roles (id, name, description, groups_json, rules_json, permissions_json, created_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING RETURNING id"
)
ROLE_SET = (
    "UPDATE roles SET name = $2, description = $3, groups_json = $4, rules_json = $5, permissions_json = $6 "
    "WHERE id = $1 RETURNING id"
)
ROLE_NAMED = "SELECT id FROM roles WHERE name = $1 AND id <> $2"
ROLE_REMOVE = "DELETE FROM roles WHERE id = $1 RETURNING id"
ROLE_USES = (
    "SELECT (SELECT count(*) FROM bindings WHERE role_id = $1) + "
    "(SELECT count(*) FROM request_policies WHERE role_id = $1)"
)

BINDINGS = (
    "SELECT id, subject_kind, subject_id, subject_issuer, role_id, scope_json, until_at, request_id, created_at "
    "FROM bindings ORDER BY id"
)
BINDING = (
    "SELECT id, subject_kind, subject_id, subject_issuer, role_id, scope_json, until_at, request_id, created_at "
    "FROM bindings WHERE id = $1"
)
BINDING_ADD = (
    "INSERT INTO bindings (id, subject_kind, subject_id, subject_issuer, role_id, scope_json, cluster_id, until_at, "
    "request_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
BINDING_SUBJECT_SET = (
    "UPDATE bindings SET subject_kind = $2, subject_id = $3, subject_issuer = $4 WHERE id = $1 RETURNING id"
)
BINDINGS_NAMING = (
    "SELECT id, subject_kind, subject_id, subject_issuer, role_id, scope_json, until_at, request_id, created_at "
    "FROM bindings WHERE subject_kind = $1 AND subject_id = $2 AND subject_issuer = $3 ORDER BY id"
)
BINDINGS_OF_ROLE = (
    "SELECT id, subject_kind, subject_id, subject_issuer, role_id, scope_json, until_at, request_id, created_at "
    "FROM bindings WHERE role_id = $1 ORDER BY id"
)
BINDINGS_OF_NO_CLUSTER = (
    "SELECT id, subject_kind, subject_id, subject_issuer, role_id, scope_json, until_at, request_id, created_at "
    "FROM bindings WHERE cluster_id = '' ORDER BY id"
)
BINDINGS_ENDED = "SELECT id FROM bindings WHERE until_at < $1 ORDER BY until_at NULLS LAST, id LIMIT $2"
BINDING_REMOVE = "DELETE FROM bindings WHERE id = $1 RETURNING id"
BINDING_USE_KEEP = (
    "INSERT INTO binding_uses (binding_id, used_at) SELECT id, $2 FROM bindings WHERE id = $1 "
    "ON CONFLICT (binding_id) DO UPDATE SET used_at = excluded.used_at WHERE binding_uses.used_at < excluded.used_at"
)
BINDING_USES = "SELECT binding_id, used_at FROM binding_uses WHERE binding_id IN (MANY) ORDER BY binding_id".replace(
    "MANY", ", ".join(f"${number}" for number in range(1, USES_AT_ONCE + 1))
)
BINDING_USE_REMOVE = "DELETE FROM binding_uses WHERE binding_id = $1"
BINDINGS_OF_SUBJECT = "SELECT id FROM bindings WHERE subject_kind = $1 AND subject_id = $2 ORDER BY id"

POLICIES = (
    "SELECT id, role_id, scope_json, askers_json, approvers_json, approvals, max_seconds, reason_required, created_at "
    "FROM request_policies ORDER BY id"
)
POLICY = (
    "SELECT id, role_id, scope_json, askers_json, approvers_json, approvals, max_seconds, reason_required, created_at "
    "FROM request_policies WHERE id = $1"
)
POLICY_ADD = (
    "INSERT INTO request_policies (id, role_id, scope_json, cluster_id, askers_json, approvers_json, approvals, "
    "max_seconds, reason_required, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
POLICY_SET = (
    "UPDATE request_policies SET askers_json = $2, approvers_json = $3, approvals = $4, max_seconds = $5, "
    "reason_required = $6 WHERE id = $1 RETURNING id"
)
POLICY_REMOVE = "DELETE FROM request_policies WHERE id = $1 RETURNING id"
POLICIES_OF_CLUSTER = "SELECT id FROM request_policies WHERE cluster_id = $1 ORDER BY id"

ACCESS_REQUESTS = (
    "SELECT id, policy_id, subject_kind, subject_id, asked_kind, asked_id, role_id, scope_json, seconds, reason, "
    "decided, approvals_json, note, closed_by, binding_id, until_at, expires_at, created_at, closed_at, reviewers "
    "FROM access_requests ORDER BY id"
)
ACCESS_REQUEST = (
    "SELECT id, policy_id, subject_kind, subject_id, asked_kind, asked_id, role_id, scope_json, seconds, reason, "
    "decided, approvals_json, note, closed_by, binding_id, until_at, expires_at, created_at, closed_at, reviewers "
    "FROM access_requests WHERE id = $1"
)
ACCESS_REQUEST_ADD = (
    "INSERT INTO access_requests (id, policy_id, subject_kind, subject_id, asked_kind, asked_id, role_id, scope_json, "
    "cluster_id, seconds, reason, decided, approvals_json, note, closed_by, binding_id, until_at, expires_at, "
    "created_at, closed_at, closes_at, reviewers) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)"
)
ACCESS_REQUEST_SET = (
    "UPDATE access_requests SET seconds = $2, decided = $3, approvals_json = $4, note = $5, closed_by = $6, "
    "binding_id = $7, until_at = $8, closed_at = $9, closes_at = $10 WHERE id = $1 RETURNING id"
)
ACCESS_REQUESTS_LIKE = (
    "SELECT id, policy_id, subject_kind, subject_id, asked_kind, asked_id, role_id, scope_json, seconds, reason, "
    "decided, approvals_json, note, closed_by, binding_id, until_at, expires_at, created_at, closed_at, reviewers "
    "FROM access_requests WHERE subject_id = $1 AND role_id = $2 AND closes_at > $3 ORDER BY id"
)
ACCESS_REQUESTS_OPEN_OF_SUBJECT = "SELECT count(*) FROM access_requests WHERE subject_id = $1 AND closes_at > $2"
ACCESS_REQUESTS_OF_SUBJECT = "SELECT id FROM access_requests WHERE subject_id = $1 AND closes_at > $2 ORDER BY id"
ACCESS_REQUESTS_OF_POLICY = "SELECT id FROM access_requests WHERE policy_id = $1 AND closes_at > $2 ORDER BY id"
ACCESS_REQUESTS_OF_CLUSTER = "SELECT id FROM access_requests WHERE cluster_id = $1 AND closes_at > $2 ORDER BY id"
ACCESS_REQUESTS_CLOSED = (
    "SELECT id FROM access_requests WHERE closes_at < $1 AND decided <> $2 AND decided <> $3 "
    "ORDER BY closes_at, id LIMIT $4"
)
ACCESS_REQUEST_REMOVE = "DELETE FROM access_requests WHERE id = $1"

CREDENTIAL_ADD = (
    "INSERT INTO credentials (id, person_id, cluster_id, issued_at, expires_at, issued_by, kind, session_id) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)
CREDENTIALS_OF_SESSION = "SELECT id, expires_at FROM credentials WHERE session_id = $1 AND expires_at > $2 ORDER BY id"
CREDENTIAL = "SELECT id, person_id, cluster_id, issued_at, expires_at FROM credentials WHERE id = $1"
# One page, the latest first, beyond ($3, $4). $2: the clusters wanted, with commas between, or '' for all. $5 is now;
# $6 the state wanted, or ''.
CREDENTIALS_PAGE = (
    "SELECT id, person_id, cluster_id, issued_at, expires_at, issued_by, kind, revoked_at, reason, state FROM ("
    "SELECT c.id, c.person_id, c.cluster_id, c.issued_at, c.expires_at, c.issued_by, c.kind, r.revoked_at, r.reason, "
    "CASE WHEN c.expires_at <= $5 THEN 'expired' "
    "WHEN r.credential_id IS NOT NULL OR p.id IS NULL OR c.issued_at <= p.not_before "
    "OR k.id IS NULL OR c.issued_at <= k.not_before THEN 'revoked' ELSE 'live' END AS state "
    "FROM credentials c LEFT JOIN revocations r ON r.credential_id = c.id LEFT JOIN people p ON p.id = c.person_id "
    "LEFT JOIN clusters k ON k.id = c.cluster_id "
    "WHERE ($1 = '' OR c.person_id = $1) AND ($2 = '' OR replace($2, c.cluster_id, '') <> $2) "
    "AND (c.issued_at, c.id) < ($3, $4)"
    ") AS shown WHERE $6 = '' OR state = $6 ORDER BY issued_at DESC, id DESC LIMIT $7"
)
ISSUES_HOLD = (
    "INSERT INTO issues (holder, latest_at) VALUES ($1, 0) "
    "ON CONFLICT (holder) DO UPDATE SET latest_at = issues.latest_at RETURNING latest_at"
)
ISSUES_NOTE = "UPDATE issues SET latest_at = $2 WHERE holder = $1 AND latest_at < $2"
ISSUES_FORGET = "DELETE FROM issues WHERE latest_at < $1"
CREDENTIALS_FORGET = "DELETE FROM credentials WHERE expires_at < $1"

REVOCATIONS = "SELECT credential_id, expires_at, revoked_at, reason FROM revocations ORDER BY credential_id"
REVOCATION = "SELECT credential_id, expires_at, revoked_at, reason FROM revocations WHERE credential_id = $1"
REVOCATION_ADD = (
    "INSERT INTO revocations (credential_id, expires_at, revoked_at, reason) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (credential_id) DO NOTHING"
)
REVOCATIONS_FORGET = "DELETE FROM revocations WHERE expires_at < $1 AND revoked_at < $1"

BOOTSTRAP_TOKEN_ADD = (
    "INSERT INTO bootstrap_tokens (token_sha256, cluster_id, generation, expires_at, spent_at, spent_by) "
    "VALUES ($1, $2, $3, $4, NULL, '')"
)
BOOTSTRAP_TOKEN_SPEND = (
    "UPDATE bootstrap_tokens SET spent_at = $2, spent_by = $3 "
    "WHERE token_sha256 = $1 AND spent_at IS NULL AND expires_at > $2 RETURNING cluster_id, generation"
)
BOOTSTRAP_TOKEN = "SELECT cluster_id, generation, expires_at, spent_by FROM bootstrap_tokens WHERE token_sha256 = $1"
BOOTSTRAP_TOKENS_FORGET = "DELETE FROM bootstrap_tokens WHERE expires_at < $1"

CERTIFICATES = "SELECT serial, cluster_id, generation, not_after, issued_at FROM agent_certificates ORDER BY serial"
CERTIFICATE = "SELECT serial, cluster_id, generation, not_after, issued_at FROM agent_certificates WHERE serial = $1"
CERTIFICATE_ADD = (
    "INSERT INTO agent_certificates (serial, cluster_id, generation, not_after, public_key_sha256, pem, issued_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
CERTIFICATE_FOR_KEY = (
    "SELECT serial, pem FROM agent_certificates WHERE cluster_id = $1 AND generation = $2 AND public_key_sha256 = $3 "
    "AND not_after > $4 ORDER BY issued_at DESC, serial LIMIT 1"
)
CERTIFICATE_REMOVE = "DELETE FROM agent_certificates WHERE serial = $1"
CERTIFICATES_FORGET = "DELETE FROM agent_certificates WHERE not_after < $1"

PROVIDERS = "SELECT id, slug, title, issuer, client_id, settings_json, enabled, created_at FROM providers ORDER BY id"
PROVIDER = "SELECT id, slug, title, issuer, client_id, settings_json, enabled, created_at FROM providers WHERE id = $1"
PROVIDER_ADD = (
    "INSERT INTO providers (id, slug, title, issuer, client_id, settings_json, enabled, created_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id"
)
PROVIDER_LIKE = "SELECT id FROM providers WHERE slug = $1 OR issuer = $2 ORDER BY id"
PROVIDER_SET = (
    "UPDATE providers SET title = $2, client_id = $3, settings_json = $4, enabled = $5 WHERE id = $1 RETURNING id"
)
PROVIDER_REMOVE = "DELETE FROM providers WHERE id = $1 RETURNING id"
PROVIDER_PEOPLE = "SELECT count(*) FROM people WHERE issuer = $1"

SIGN_IN_ADD = (
    "INSERT INTO sign_ins (state_sha256, browser_sha256, provider_id, next_path, expires_at) "
    "VALUES ($1, $2, $3, $4, $5)"
)
SIGN_IN_SPEND = (
    "DELETE FROM sign_ins WHERE state_sha256 = $1 RETURNING browser_sha256, provider_id, next_path, expires_at"
)
SIGN_INS_FORGET = "DELETE FROM sign_ins WHERE expires_at < $1"

LOGIN = "SELECT id, person_id, provider_id, read_at, created_at, ends_at, ended_at, ended_why FROM logins WHERE id = $1"
LOGIN_ADD = (
    "INSERT INTO logins (id, person_id, provider_id, read_at, created_at, ends_at, ended_at, ended_why, key_id, box, "
    "busy_until) VALUES ($1, $2, $3, $4, $5, $6, NULL, '', $7, $8, 0)"
)
LOGIN_BOX = "SELECT key_id, box FROM logins WHERE id = $1"
LOGIN_TAKE = (
    "UPDATE logins SET busy_until = $3 WHERE id = $1 AND ended_at IS NULL AND busy_until <= $2 RETURNING key_id, box"
)
LOGIN_LEAVE = "UPDATE logins SET busy_until = $2 WHERE id = $1"
LOGIN_READ = "UPDATE logins SET read_at = $2, key_id = $3, box = $4, busy_until = 0 WHERE id = $1"
LOGIN_END = (
    "UPDATE logins SET ended_at = $2, ended_why = $3, box = '' WHERE id = $1 AND ended_at IS NULL RETURNING person_id"
)
LOGINS_TO_READ = (
    "SELECT id, person_id, provider_id, read_at, created_at, ends_at, ended_at, ended_why FROM logins "
    "WHERE read_at < $1 AND busy_until <= $2 AND ended_at IS NULL AND provider_id <> '' ORDER BY read_at, id LIMIT $3"
)
LOGINS_OVER = (
    "SELECT id, person_id, provider_id, read_at, created_at, ends_at, ended_at, ended_why FROM logins "
    "WHERE ended_at IS NULL AND (ends_at <= $1 OR (provider_id <> '' AND read_at <= $2)) ORDER BY id LIMIT $3"
)
LOGINS_FORGET = "DELETE FROM logins WHERE ends_at < $1"

SESSION = (
    "SELECT id, login_id, person_id, client, label, address, created_at, used_at, ended_at, ended_why FROM sessions "
    "WHERE id = $1"
)
SESSION_ADD = (
    "INSERT INTO sessions (id, login_id, person_id, client, label, address, created_at, used_at, ended_at, ended_why) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, '')"
)
SESSION_USE = "UPDATE sessions SET used_at = $2 WHERE id = $1 AND used_at < $2"
SESSION_END = "UPDATE sessions SET ended_at = $2, ended_why = $3 WHERE id = $1 AND ended_at IS NULL RETURNING person_id"
SESSIONS_OF_LOGIN = "SELECT id FROM sessions WHERE login_id = $1 AND ended_at IS NULL ORDER BY id"
# One page of those that have not ended, the latest first, beyond ($1, $2).
SESSIONS_PAGE = (
    "SELECT s.id, s.login_id, s.person_id, s.client, s.label, s.address, s.created_at, s.used_at, s.ended_at, "
    "s.ended_why, l.id, l.person_id, l.provider_id, l.read_at, l.created_at, l.ends_at, l.ended_at, l.ended_why "
    "FROM sessions s JOIN logins l ON l.id = s.login_id WHERE (s.created_at, s.id) < ($1, $2) AND s.ended_at IS NULL "
    "AND l.ended_at IS NULL ORDER BY s.created_at DESC, s.id DESC LIMIT $3"
)
SESSIONS_PAGE_OF = (
    "SELECT s.id, s.login_id, s.person_id, s.client, s.label, s.address, s.created_at, s.used_at, s.ended_at, "
    "s.ended_why, l.id, l.person_id, l.provider_id, l.read_at, l.created_at, l.ends_at, l.ended_at, l.ended_why "
    "FROM sessions s JOIN logins l ON l.id = s.login_id WHERE s.person_id = $4 AND (s.created_at, s.id) < ($1, $2) "
    "AND s.ended_at IS NULL AND l.ended_at IS NULL ORDER BY s.created_at DESC, s.id DESC LIMIT $3"
)
SESSIONS_FORGET = "DELETE FROM sessions WHERE created_at < $1"

SESSION_TOKEN = (
    "SELECT t.kind, t.expires_at, t.spent_at, t.salt, s.id, s.login_id, s.person_id, s.client, s.label, s.address, "
    "s.created_at, s.used_at, s.ended_at, s.ended_why, l.id, l.person_id, l.provider_id, l.read_at, l.created_at, "
    "l.ends_at, l.ended_at, l.ended_why FROM session_tokens t JOIN sessions s ON s.id = t.session_id "
    "JOIN logins l ON l.id = s.login_id WHERE t.token_sha256 = $1"
)
SESSION_TOKEN_ADD = (
    "INSERT INTO session_tokens (token_sha256, session_id, kind, expires_at, spent_at) VALUES ($1, $2, $3, $4, NULL)"
)
SESSION_TOKEN_SPEND = "UPDATE session_tokens SET spent_at = $2, salt = $3 WHERE token_sha256 = $1 AND spent_at IS NULL"
SESSION_SALTS_FORGET = "UPDATE session_tokens SET salt = '' WHERE session_id = $1 AND salt <> ''"
SESSION_TOKENS_FORGET = "DELETE FROM session_tokens WHERE expires_at < $1"

AUTHORIZATION_CODE = (
    "SELECT login_id, redirect_uri, challenge, label, session_id, expires_at FROM authorizations WHERE code_sha256 = $1"
)
AUTHORIZATION_ADD = (
    "INSERT INTO authorizations (code_sha256, login_id, redirect_uri, challenge, label, session_id, expires_at) "
    "VALUES ($1, $2, $3, $4, $5, '', $6)"
)
AUTHORIZATION_SPEND = (
    "UPDATE authorizations SET session_id = $2 WHERE code_sha256 = $1 AND session_id = '' RETURNING login_id"
)
AUTHORIZATIONS_FORGET = "DELETE FROM authorizations WHERE expires_at < $1"

DEVICE = (
    "SELECT device_sha256, user_code, label, address, state, login_id, poll_seconds, polled_at, created_at, expires_at "
    "FROM device_codes WHERE device_sha256 = $1"
)
DEVICE_NAMED = (
    "SELECT device_sha256, user_code, label, address, state, login_id, poll_seconds, polled_at, created_at, expires_at "
    "FROM device_codes WHERE user_code = $1"
)
DEVICE_ADD = (
    "INSERT INTO device_codes (device_sha256, user_code, label, address, state, login_id, poll_seconds, polled_at, "
    "created_at, expires_at) VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING user_code"
)
DEVICE_POLLED = "UPDATE device_codes SET polled_at = $2, poll_seconds = $3 WHERE device_sha256 = $1"
DEVICE_MOVE = (
    "UPDATE device_codes SET state = $3, login_id = $4 WHERE device_sha256 = $1 AND state = $2 RETURNING device_sha256"
)
DEVICES_FORGET = "DELETE FROM device_codes WHERE expires_at < $1"

SETUP_CODE_ADD = "INSERT INTO setup_codes (code_sha256, created_at, expires_at) VALUES ($1, $2, $3)"
SETUP_CODE_SPEND = "DELETE FROM setup_codes WHERE code_sha256 = $1 AND expires_at > $2 RETURNING created_at"
SETUP_CODES_FORGET = "DELETE FROM setup_codes WHERE expires_at < $1"

SEALED_SET = (
    "INSERT INTO sealed (name, key_id, box, created_at) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, box = excluded.box, created_at = excluded.created_at"
)
SEALED_REMOVE = "DELETE FROM sealed WHERE name = $1"
SEALED = "SELECT key_id, box FROM sealed WHERE name = $1"
SEALED_ADD = "INSERT INTO sealed (name, key_id, box, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING"
AUTHORITIES = (
    "SELECT name, created_at FROM sealed WHERE name = 'authority' OR substr(name, 1, 10) = 'authority/' "
    "ORDER BY created_at, name"
)
AUTHORITY = "SELECT name, created_at FROM sealed WHERE name = $1"
SEALED_NAMES = "SELECT name FROM sealed ORDER BY name"
SEALED_ALL = "SELECT name, key_id, box FROM sealed ORDER BY name"
SEALED_ANY = "SELECT key_id FROM sealed ORDER BY name LIMIT 1"

MIGRATIONS = "SELECT number, checksum FROM schema_migrations ORDER BY number"
MIGRATION_ADD = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)"
MIGRATIONS_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"
)
