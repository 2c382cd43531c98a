"""Calls to targets, as data and rules: which may be called, when, in what order, and what follows from each answer."""
