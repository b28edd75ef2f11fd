"""Which of many to try next, from numbers alone: portfolios of candidates, bandits over arms."""
