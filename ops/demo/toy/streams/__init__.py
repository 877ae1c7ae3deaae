"""What happens on a connection that a kubectl exec, attach, cp or port-forward has upgraded, and in what it reaches.

What always holds: no process is started; no file outside a container's own temporary directory is touched; everything
between client and container is bounded, so a client that stops reading stops what it runs.
"""
