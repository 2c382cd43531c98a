"""Imports as values: what a job is, when it is due, how far it has come, and the uploads it reads from. No file, no socket."""
