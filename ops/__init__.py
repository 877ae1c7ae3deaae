"""What people run: the `fairlead` command, the demo, deployment and runbooks."""
