"""MAML for anything with a differentiable loss."""
