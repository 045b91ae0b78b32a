"""Every setting of a run: the fields, their checks, and the YAML file that repeats it."""
