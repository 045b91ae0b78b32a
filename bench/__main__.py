"""`python -m bench`: the command `bench`, where its script is not on the path."""

from cli import bench

__all__: list[str] = []

if __name__ == "__main__":
    bench()
