"""Speed figures, one JSON line each: `python -m tests.bench [--only NAME] [--n 10000,100000]`."""
