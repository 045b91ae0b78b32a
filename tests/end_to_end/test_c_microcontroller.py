"""Target `c` on a Cortex-M4: cross-compiled, its sizes read off the object, and run in an emulator."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from c_programs import PORTABLE, reference
from onnx_models import compressed

from export import TARGETS
from export.c import sizes

_CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os", "-ffp-contract=fast")

_STARTUP = """
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include "net.h"

extern void initialise_monitor_handles(void);
extern uint32_t stack_top;
static const union { uint32_t bits[COUNT * NET_INPUT_SIZE]; float values[COUNT * NET_INPUT_SIZE]; } in = {{
#include "input.inc"
}};
static union { uint32_t bits[COUNT * NET_OUTPUT_SIZE]; float values[COUNT * NET_OUTPUT_SIZE]; } out;

void reset(void);
void reset(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit */
    __asm__ volatile("dsb\\n isb");
    initialise_monitor_handles();
    for (int pass = 0; pass < 2; ++pass) {
        int status = 0;
        if (pass == 0)
            for (int i = 0; i < COUNT; ++i)
                status |= net_run(in.values + i * NET_INPUT_SIZE, out.values + i * NET_OUTPUT_SIZE);
        else
            status = net_run_batch(in.values, out.values, COUNT);
        for (int i = 0; i < COUNT * NET_OUTPUT_SIZE; ++i) printf("%08lx\\n", (unsigned long)out.bits[i]);
        if (status) printf("failed\\n");
    }
    exit(0);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {
    (void (*)(void))&stack_top, reset,
};
"""

_LAYOUT = """
ENTRY(reset)
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
    .ARM.exidx : { *(.ARM.exidx*) } > FLASH
    .data : { *(.data*) } > RAM
    .bss : { *(.bss*) *(COMMON) end = .; } > RAM
    stack_top = ORIGIN(RAM) + LENGTH(RAM);
}
"""


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"found no {name}")
    return path


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("options", [{}, {"unroll": "none"}, {"weights": "codes"}], ids=["default", "table", "codes"])
def test_a_cortex_m4_computes_the_same_within_the_bytes_that_the_header_states(
    options: dict[str, str], tmp_path: Path
) -> None:
    gcc, nm, emulator = _tool("arm-none-eabi-gcc"), _tool("arm-none-eabi-nm"), _tool("qemu-system-arm")
    model = compressed()
    for suffix, content in TARGETS["c"].dumps(model, stem="net", **options).items():
        (tmp_path / f"net{suffix}").write_bytes(content)
    _run(gcc, *PORTABLE, *_CPU, "-c", str(tmp_path / "net.c"), "-o", str(tmp_path / "net.o"))

    header = (tmp_path / "net.h").read_text()
    symbols = re.findall(r"^\w+ (\w+) (\w) (\w+)", _run(nm, "-S", str(tmp_path / "net.o")), flags=re.MULTILINE)
    kinds = {kind: sum(int(size, 16) for size, k, _ in symbols if k in kind) for kind in ("bBdD", "rR")}
    ram = re.search(r"WORKSPACE_BYTES \((\d+)", header)
    tables = re.search(r"TABLE_BYTES (\d+)", header)
    assert ram is not None
    assert tables is not None
    assert kinds == {"bBdD": int(ram[1]), "rR": int(tables[1])}

    told = sizes({suffix: (tmp_path / f"net{suffix}").read_bytes() for suffix in (".c", ".h")}, flags=_CPU)
    assert told is not None
    code = sum(int(size, 16) for size, k, _ in symbols if k in "tT")
    assert int(ram[1]) <= told.ram_bytes <= int(ram[1]) + 256
    # Between functions and tables stand literals, alignment and tables that the compiler makes.
    assert int(tables[1]) + code <= told.flash_bytes <= int(tables[1]) + code + 4096

    proto = onnx.load_from_string(TARGETS["onnx-dense"].dumps(model)[".onnx"])
    shape = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim[1:]]
    x = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)
    (tmp_path / "input.inc").write_text(",\n".join(f"0x{bits:08x}u" for bits in x.view(np.uint32).ravel()))
    (tmp_path / "start.c").write_text(_STARTUP)
    (tmp_path / "layout.ld").write_text(_LAYOUT)
    flags = (
        "-DCOUNT=2",
        "-nostartfiles",
        "--specs=nano.specs",
        "--specs=rdimon.specs",
        "-T",
        str(tmp_path / "layout.ld"),
    )
    sources = (str(tmp_path / "start.c"), str(tmp_path / "net.o"))
    _run(gcc, "-std=gnu99", *_CPU, *flags, *sources, "-o", str(tmp_path / "net.elf"), "-lm")
    machine = ("-M", "mps2-an386", "-nographic", "-semihosting-config", "enable=on,target=native")
    printed = _run(emulator, *machine, "-kernel", str(tmp_path / "net.elf")).split()
    found = np.array([int(word, 16) for word in printed], dtype=np.uint32).view(np.float32).reshape(2, len(x), -1)
    wanted = reference(proto, x).reshape(len(x), -1)
    assert np.abs(found[0] - wanted).max() <= 1e-5 * max(1.0, float(np.abs(wanted).max()))
    assert np.array_equal(found[0], found[1])
