"""The door: an ASGI app that checks who is there, writes records, and reads the compacted topics."""
