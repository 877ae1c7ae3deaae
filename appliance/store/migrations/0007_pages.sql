-- The order in which sessions are shown, page by page: of all people, and of one.

CREATE INDEX sessions_by_making ON sessions (created_at, id);
DROP INDEX sessions_by_person;
CREATE INDEX sessions_by_person ON sessions (person_id, created_at, id);

-- When a binding last allowed something, right to an hour. No row: not since this table was made, or since the binding was.
CREATE TABLE binding_uses (
    binding_id TEXT NOT NULL PRIMARY KEY,
    used_at BIGINT NOT NULL
);
