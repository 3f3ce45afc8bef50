"""Predictions for settings that were not captured, held against live runs of those settings."""
