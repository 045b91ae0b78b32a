"""A recipe's fields from a YAML file, not yet checked."""

from pathlib import Path
from typing import Any

from compress.errors import UsageError, first_line

__all__ = ["load_recipe"]

_MAX_RECIPE_BYTES = 1 << 20
"""Room for thousands of layers with numbers of their own; more is some other file, given by mistake."""


def load_recipe(path: Path) -> dict[str, Any]:
    """Read the fields that a YAML file gives; `Recipe.of` checks them.

    Raises
    ------
    UsageError
        The file cannot be read, is no YAML, or is no flat mapping.
    """
    import yaml

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_RECIPE_BYTES + 1)
        if len(content) > _MAX_RECIPE_BYTES:
            raise UsageError(f"{path}: found more than {_MAX_RECIPE_BYTES} bytes, allowed a recipe")
        fields = yaml.safe_load(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: found no valid YAML ({first_line(error)}), allowed a recipe") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise UsageError(f"{path}: found no mapping of fields to values, allowed a recipe such as --dry-run prints")
    return fields
