"""Training and evaluation: budgets, schedules, strategies, checkpoints, events."""
