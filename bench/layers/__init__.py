"""`bench layers`: fully connected layers alone, dense against CSR."""
