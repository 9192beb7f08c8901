"""The built-in dataset of sprites on procedural backgrounds."""
