"""One file for each table or figure, and the control rows: calls stages, holds no maths."""
