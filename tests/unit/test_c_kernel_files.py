"""Target `c`: its fixed kernels compile alone, are all declared and packed, and are brought by what needs them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from c_graphs import COMPILERS

from export.c import kernels
from export.c.layers import dense

FOLDER = Path(kernels.__file__).parent
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")


def test_every_kernel_has_its_file_and_every_file_its_kernel() -> None:
    stems = {name.replace("32", "16") for name in kernels.KERNELS}
    assert {path.name for path in FOLDER.iterdir() if path.suffix in (".c", ".h")} == {
        "vectors.h",
        *(f"{stem}.c" for stem in stems),
    }
    for name in kernels.KERNELS:
        assert f" {name}(" in kernels.kernel(name)
        assert "#include" not in kernels.kernel(name)


@pytest.mark.parametrize("flags", [(), ("-march=native",)])
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.c")), ids=lambda path: path.stem)
def test_a_kernel_compiles_alone(path: Path, compiler: str, flags: tuple[str, ...]) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"found no {compiler}")
    # Alone, nothing calls it.
    command = [compiler, *WARNINGS, "-Wno-unused-function", *flags, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_twin_reads_wider_places_and_is_else_the_same() -> None:
    narrow, wide = kernels.kernel("row16"), kernels.kernel("row32")
    assert wide.replace("row32", "row16").replace("uint32_t", "uint16_t") == narrow
    assert "16" not in wide


def test_dense_blocks_hold_as_many_channels_as_their_tables() -> None:
    assert f"q += {dense.CHANNELS})" in kernels.kernel("block16")
    assert f"if (n > {dense.CHANNELS - 1})" in kernels.kernel("block16")
    assert f"if (n > {dense.CHANNELS})" not in kernels.kernel("block16")


def test_needs_bring_what_they_call_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.functions(["tanh_", "dot16"]) == kernels.functions(["dot16", "tanh_"])
    assert kernels.functions(["tanh_", "dot16"]) == "\n".join(map(kernels.kernel, ("dot16", "tanh_")))
    files = {"spill.c": ('#include "move.c"\n', "s\n"), "move.c": ('#include "take.c"\n', "m\n"), "take.c": ("", "t\n")}
    monkeypatch.setattr(kernels, "_file", files.__getitem__)
    assert kernels.functions({"spill"}) == "t\n\nm\n\ns\n"
    with pytest.raises(KeyError, match=r"^'mvoe'$"):
        kernels.functions({"mvoe"})
