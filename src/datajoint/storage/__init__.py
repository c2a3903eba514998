"""Stores: where objects are kept outside of the database."""
