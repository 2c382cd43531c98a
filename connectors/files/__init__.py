"""Reads files, in a process of its own: pieces of a file come in, encoded rows and rejects go out."""
