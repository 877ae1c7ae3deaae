-- The successors of a spent refresh token follow from it and this salt, so that its holder can be answered again when the
-- answer was lost. Empty: there is nothing to repeat. `spent_at` of an access token: when it was first shown.
ALTER TABLE session_tokens ADD COLUMN salt TEXT NOT NULL DEFAULT '';
