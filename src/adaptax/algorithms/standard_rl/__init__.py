"""Reinforcement learning from scratch, and for all tasks at once."""
