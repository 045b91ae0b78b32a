"""What a compressed model can be written as: the packed file, and every target; chosen by name or by suffix."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from compress.errors import UsageError
from compress.names import known_name
from compress.packed import container
from compress.representation import CompressedModel
from compress.sizes import parse_size
from export import TARGETS, Artifact, Target

__all__ = ["BACK_ENDS", "back_end_of", "option_values"]


def _packed(model: CompressedModel, *, stem: str = "model") -> Artifact:
    """The packed file, after what it decodes to was found to be the model."""
    content = container.dumps(model)
    container.check_round_trip(content, model)
    return Artifact(files={".dcz": content})


BACK_ENDS: Mapping[str, Target] = MappingProxyType(
    {
        "dcz": Target(
            summary="the packed file, from which every other one can be written: the smallest",
            suffixes=(".dcz",),
            write=_packed,
            coded=True,
        ),
        **TARGETS,
    }
)
"""Name of a back end → how its files are written. Of those with one suffix, the first coded one is its default."""


def back_end_of(destination: Path, name: str | None) -> tuple[str, Path]:
    """The back end for a file, and the file's whole name.

    Parameters
    ----------
    destination : Path
        Gets the back end's first suffix if it has none.
    name : str or None
        Key in BACK_ENDS; None goes by the suffix.

    Raises
    ------
    UsageError
        An unknown name, or a suffix that does not belong to it.
    """
    if name is None:
        defaults: dict[str, str] = {}
        for own, back_end in sorted(BACK_ENDS.items(), key=lambda item: not item[1].coded):
            defaults.setdefault(back_end.suffixes[0], own)
        return defaults[known_name("out: suffix", destination.suffix, sorted(defaults))], destination
    suffix = BACK_ENDS[known_name("target", name, BACK_ENDS)].suffixes[0]
    whole = destination if destination.suffix else destination.with_suffix(suffix)
    if whole.suffix != suffix:
        raise UsageError(f"out: found suffix {whole.suffix!r}, allowed {suffix} for target {name}")
    return name, whole


def option_values(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """Options of a back end as values: those that are text are read as what the option takes.

    Raises
    ------
    UsageError
        An unknown option, or a value that is not allowed.
    """
    known = BACK_ENDS[name].options
    values: dict[str, object] = {}
    for key, value in options.items():
        shown = key.replace("_", "-")
        if key not in known:
            allowed = ", ".join(option.replace("_", "-") for option in known) or "none"
            raise UsageError(f"option {shown}: not one of target {name}, allowed {allowed}")
        option = known[key]
        if not isinstance(value, str):
            values[key] = value
        elif option.kind is int:
            values[key] = parse_size(value, shown)
        elif option.kind is bool:
            values[key] = known_name(shown, value, ("yes", "no")) == "yes"
        else:
            values[key] = known_name(shown, value, option.choices)
    return values
