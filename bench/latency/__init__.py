"""`bench latency`: contestants in processes of their own, loaded, compared with a reference, sampled in turns."""
