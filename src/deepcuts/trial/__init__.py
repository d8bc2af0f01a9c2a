"""A trial: every row of a table, audited, scored and reported."""
