"""Batch steps that flows share."""
