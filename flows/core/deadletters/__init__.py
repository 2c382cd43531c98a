"""Dead letters, as data and rules: what stands on them, how they are told apart, and their way back in."""
