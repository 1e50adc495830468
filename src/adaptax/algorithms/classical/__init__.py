"""Agents that know their problem and learn by statistics."""
