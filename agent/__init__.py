"""The agent: dials out of a cluster and acts at its API server as the person a request names. Imports wire only."""
