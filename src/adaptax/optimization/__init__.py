"""Losses, estimators, baselines and optimisers: arrays in, arrays out."""
