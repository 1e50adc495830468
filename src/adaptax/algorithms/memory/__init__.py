"""Meta-learners whose inner learner is a memory."""
