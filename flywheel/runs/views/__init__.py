"""Pages of runs, models and budgets: fetch through access, call one service, show."""
