"""What is composed above the rooms: the commands, whole jobs, searches and studies."""

__all__ = ["__version__"]

__version__ = "0.1.0"
"""The version of the distribution: `pyproject.toml` reads it here, and so does `--version`."""
