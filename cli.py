"""The two commands, `compress` and `bench`."""

from deep_compress.commands.main import bench, compress

__all__ = ["bench", "compress"]
