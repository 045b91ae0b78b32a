"""Sparsity and bits of every layer, searched for; and what each layer loses alone."""
