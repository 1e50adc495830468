"""What everything else speaks of: problems, spaces, agents, settings, errors; and the one rollout."""
