"""What the commands do: train, evaluate, compare, inspect, reproduce."""
