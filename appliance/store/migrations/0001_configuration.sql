-- Portable: TEXT, BIGINT (microseconds UTC, 0/1, counts), nothing else. JSON is text and never queried inside.

CREATE TABLE feed (
    id BIGINT NOT NULL PRIMARY KEY,
    head BIGINT NOT NULL
);
INSERT INTO feed (id, head) VALUES (1, 0);

CREATE TABLE changes (
    number BIGINT NOT NULL PRIMARY KEY,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE clusters (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL,
    generation BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE people (
    id TEXT NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    groups_json TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);

CREATE TABLE machines (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token_sha256 TEXT NOT NULL UNIQUE,
    expires_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE roles (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    groups_json TEXT NOT NULL,
    rules_json TEXT NOT NULL,
    permissions_json TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE bindings (
    id TEXT NOT NULL PRIMARY KEY,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_issuer TEXT NOT NULL,
    role_id TEXT NOT NULL REFERENCES roles (id),
    scope_json TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    until_at BIGINT,
    request_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX bindings_by_role ON bindings (role_id);
CREATE INDEX bindings_by_subject ON bindings (subject_id);
CREATE INDEX bindings_by_cluster ON bindings (cluster_id);

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    issued_by TEXT NOT NULL
);
CREATE INDEX credentials_by_person ON credentials (person_id, expires_at);
CREATE INDEX credentials_by_expiry ON credentials (expires_at);

CREATE TABLE revocations (
    credential_id TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE TABLE bootstrap_tokens (
    token_sha256 TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    spent_at BIGINT,
    spent_by TEXT NOT NULL
);

CREATE TABLE agent_certificates (
    serial TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    public_key_sha256 TEXT NOT NULL,
    pem TEXT NOT NULL,
    issued_at BIGINT NOT NULL
);
CREATE INDEX agent_certificates_by_key ON agent_certificates (cluster_id, public_key_sha256);

CREATE TABLE sealed (
    name TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    box TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
