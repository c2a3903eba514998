"""SQL: the algebra, its writing in a dialect, and the dialects. Pure: nothing is run here."""
