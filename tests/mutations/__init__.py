"""Traces that are damaged on purpose, at random: made, given to commands, and what came of it."""
