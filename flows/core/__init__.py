"""The pure heart: data and arithmetic, no sockets, no files, no threads."""
