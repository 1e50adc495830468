"""Gradients through learning: one inner loop, one way to recomputed it, one outer loop, and what differs."""
