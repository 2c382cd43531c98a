"""The hands: they reach out to third parties and bring back pages; they see `flows.core` only."""
