-- Portable: TEXT, BIGINT (microseconds UTC, 0/1, counts), nothing else. JSON is text and never queried inside.

-- Identity providers; their client secrets are in `sealed`.
CREATE TABLE providers (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    issuer TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    settings_json TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- A sign-in that is under way at a provider. Spent by being deleted.
CREATE TABLE sign_ins (
    state_sha256 TEXT NOT NULL PRIMARY KEY,
    browser_sha256 TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    next_path TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What a provider gave at a sign-in, sealed in `box`. `busy_until`: an appliance is asking it again.
CREATE TABLE logins (
    id TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT NOT NULL,
    key_id TEXT NOT NULL,
    box TEXT NOT NULL,
    busy_until BIGINT NOT NULL
);
CREATE INDEX logins_by_reading ON logins (read_at);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    login_id TEXT NOT NULL,
    person_id TEXT NOT NULL,
    client TEXT NOT NULL,
    label TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person_id, created_at);
CREATE INDEX sessions_by_login ON sessions (login_id);

CREATE TABLE session_tokens (
    token_sha256 TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    spent_at BIGINT
);
CREATE INDEX session_tokens_by_session ON session_tokens (session_id);

-- Codes that a browser takes to the command beside it (RFC 6749). `session_id`: what it bought when it was spent.
CREATE TABLE authorizations (
    code_sha256 TEXT NOT NULL PRIMARY KEY,
    login_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    label TEXT NOT NULL,
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Devices that wait for someone to confirm their code (RFC 8628).
CREATE TABLE device_codes (
    device_sha256 TEXT NOT NULL PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    address TEXT NOT NULL,
    state TEXT NOT NULL,
    login_id TEXT NOT NULL,
    poll_seconds BIGINT NOT NULL,
    polled_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE setup_codes (
    code_sha256 TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- In which session a person got a credential: it ends with it. Empty: somebody else gave it to them.
ALTER TABLE credentials ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
CREATE INDEX credentials_by_session ON credentials (session_id);
