"""`python -m compress`: the command `compress`, where its script is not on the path."""

from cli import compress

__all__: list[str] = []

if __name__ == "__main__":
    compress()
