"""Meta-World's benchmarks of a robot's arm (extra `metaworld`)."""
