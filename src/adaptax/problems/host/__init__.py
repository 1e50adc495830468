"""Simulators that run on the host: Gymnasium's, and your own."""
