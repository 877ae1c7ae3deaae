"""One schema, one set of statements; the feed of changes and the snapshot the hot path reads."""
