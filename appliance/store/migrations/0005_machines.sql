-- A machine has any number of tokens; what it may do hangs on the machine. Names and ids stay as they were.

CREATE TABLE machine_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    machine_id TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    label TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    used_at BIGINT
);
CREATE INDEX machine_tokens_by_machine ON machine_tokens (machine_id);
CREATE INDEX machine_tokens_by_expiry ON machine_tokens (expires_at);

-- The first of them has the machine's number. One without an end gets the longest there is: 365 days.
INSERT INTO machine_tokens (id, machine_id, sha256, expires_at, label, rule_id, subject, created_at, created_by, used_at)
SELECT replace(id, 'machine_', 'token_'), id, token_sha256, coalesce(expires_at, created_at + 31536000000000), '', '', '',
    created_at, created_by, NULL FROM machines;

CREATE TABLE machines_now (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    not_before BIGINT NOT NULL
);
INSERT INTO machines_now (id, name, created_at, created_by, not_before)
SELECT id, name, created_at, created_by, 0 FROM machines;
DROP TABLE machines;
ALTER TABLE machines_now RENAME TO machines;

-- Whose tokens make their bearer a machine. An empty key set: the issuer publishes its own.
CREATE TABLE trust_rules (
    id TEXT NOT NULL PRIMARY KEY,
    machine_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    audience TEXT NOT NULL,
    conditions_json TEXT NOT NULL,
    jwks TEXT NOT NULL,
    single_use BIGINT NOT NULL,
    seconds BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
CREATE INDEX trust_rules_by_machine ON trust_rules (machine_id);

-- Tokens of others that were exchanged, by the SHA-256 of issuer and jti, until they would have expired.
CREATE TABLE exchanged (
    token_sha256 TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX exchanged_by_expiry ON exchanged (expires_at);
