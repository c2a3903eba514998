"""Processes that populate one table while all around them fails."""
