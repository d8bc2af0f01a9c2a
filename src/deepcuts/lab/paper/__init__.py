"""The paper's tables, figures and claims, on planted worlds."""
