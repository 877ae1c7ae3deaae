-- Portable: TEXT, BIGINT (microseconds UTC, 0/1, counts), nothing else. JSON is text and never queried inside.

-- Who made a machine: empty for one made on the appliance's own host, else the id of the caller of the admin API.
ALTER TABLE machines ADD COLUMN created_by TEXT NOT NULL DEFAULT '';

CREATE INDEX bindings_by_until ON bindings (until_at);

CREATE TABLE request_policies (
    id TEXT NOT NULL PRIMARY KEY,
    role_id TEXT NOT NULL REFERENCES roles (id),
    scope_json TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    askers_json TEXT NOT NULL,
    approvers_json TEXT NOT NULL,
    approvals BIGINT NOT NULL,
    max_seconds BIGINT NOT NULL,
    reason_required BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX request_policies_by_role ON request_policies (role_id);
CREATE INDEX request_policies_by_cluster ON request_policies (cluster_id);

CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    asked_kind TEXT NOT NULL,
    asked_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    scope_json TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    seconds BIGINT NOT NULL,
    reason TEXT NOT NULL,
    decided TEXT NOT NULL,
    approvals_json TEXT NOT NULL,
    note TEXT NOT NULL,
    closed_by TEXT NOT NULL,
    binding_id TEXT NOT NULL,
    until_at BIGINT,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    closed_at BIGINT,
    closes_at BIGINT NOT NULL
);
CREATE INDEX access_requests_by_subject ON access_requests (subject_id, role_id);
CREATE INDEX access_requests_by_policy ON access_requests (policy_id);
CREATE INDEX access_requests_by_cluster ON access_requests (cluster_id);
CREATE INDEX access_requests_by_closing ON access_requests (closes_at);
