"""The structure of the tree, held by tests. Each failure says why its rule exists."""
