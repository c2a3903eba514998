"""The databases: what each of them does in its own way."""
