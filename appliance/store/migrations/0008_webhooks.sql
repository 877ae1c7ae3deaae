-- Whom the asker would like to look at it, as they were named, one a line; it gives nobody a right.
ALTER TABLE access_requests ADD COLUMN reviewers TEXT NOT NULL DEFAULT '';

-- Who is told of access requests. The secret of each is in `sealed`, under its id.
CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    notices TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

-- What they are told, written in the transaction of what it tells. While one is being sent, next_at is when somebody
-- else may take it up.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook_id TEXT NOT NULL,
    notice TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    status BIGINT,
    error TEXT NOT NULL,
    done_at BIGINT
);
CREATE INDEX deliveries_by_turn ON deliveries (state, next_at);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, created_at);
