"""What a file is to an import, whatever reads it: pieces cut between records, and rows that were turned away."""
