"""The toy cluster: an in-memory Kubernetes API that real kubectl works against, for the demo and the journeys.

It shares no protocol code with the rest of the tree, so that it cannot repeat the rest's mistakes. It keeps nothing
on disk but its own CA certificate, token and address, runs no containers, and is not a place for real secrets.
"""
