"""Fast loops, each behind one function, beside a readable NumPy twin of the same signature."""
