"""Gradients through learning: one inner loop, one way to recompute it, one outer loop, and what differs."""
