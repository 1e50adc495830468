"""Meta-learners that infer which task they are in: a distribution over a latent vector, and a policy that reads it."""
