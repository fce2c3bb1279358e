"""Analyses: verbs that take any system."""
