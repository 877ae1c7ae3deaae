"""How Fairlead is installed: manifests, charts, the image, and what an operator types."""
