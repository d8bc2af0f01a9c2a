"""Metric learning to rank: the paper's rival to predicting factors."""
