"""Memories: cells that take in experience step by step; see `base`."""
