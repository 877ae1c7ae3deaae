-- The order in which sessions are shown, page by page: of all people, and of one.

CREATE INDEX sessions_by_making ON sessions (created_at, id);
DROP INDEX sessions_by_person;
CREATE INDEX sessions_by_person ON sessions (person_id, created_at, id);
