"""Meta-learners that act on a belief about the task that they are in."""
