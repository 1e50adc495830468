"""What agents are worth: the one evaluator, statistics, comparisons, and looking into memories."""
