"""The stream side: a file here is one dataflow."""
