-- How a credential is kept: static, or held by a plugin.
ALTER TABLE credentials ADD COLUMN kind TEXT NOT NULL DEFAULT 'static';
CREATE INDEX credentials_by_issue ON credentials (issued_at, id);
CREATE INDEX credentials_by_cluster ON credentials (cluster_id);

-- For each person and each cluster, when a credential was last issued. Issuing and refusing both lock this row, so that
-- each knows of the other whatever the clocks say. Issuing is no change of the configuration and leaves the feed alone.
CREATE TABLE issues (
    holder TEXT NOT NULL PRIMARY KEY,
    latest_at BIGINT NOT NULL
);
