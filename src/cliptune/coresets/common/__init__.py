"""Shared parts of the coreset methods: the pool of images, gradients, similarity matrices and greedy algorithms."""
