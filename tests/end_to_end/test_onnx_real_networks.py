"""`compress onnx` on real networks from packages, where they are installed: smaller, and nearly the same answers."""

from pathlib import Path

import pytest

from benchmarks.onnx_real import NETWORKS, answers_of, find_network
from compress.rounding.settings import PostTraining
from deep_compress.jobs.files import export_file
from deep_compress.jobs.onnx import compress_onnx

# With all names kept, the share of the file that is graph sets how far a ratio can fall.
RATIOS_WITH_NAMES = {"silero-vad": 0.23, "basic-pitch": 0.52}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_real_network_shrinks_and_answers_nearly_as_before(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    source = find_network(network)
    if source is None:
        pytest.skip(f"{network.package} is not installed (pip install --no-deps {network.package.replace('_', '-')})")
    if source.stat().st_size > 1 << 24:
        pytest.skip(f"{source.stat().st_size} bytes take long; python -m benchmarks.onnx_real measures it")
    report = compress_onnx(source, tmp_path / "out.onnx", PostTraining(bits=8))
    assert report.bytes_after == (tmp_path / "out.onnx").stat().st_size
    six_bits = compress_onnx(source, tmp_path / "six.onnx", PostTraining())
    assert six_bits.bytes_after < report.bytes_after < report.bytes_before
    assert six_bits.ratio <= 0.19
    named = compress_onnx(source, tmp_path / "named.onnx", PostTraining(), options={"short_names": False})
    assert six_bits.ratio < named.ratio < RATIOS_WITH_NAMES.get(name, 0.1905)
    assert named.worst_error == six_bits.worst_error
    assert answers_of(tmp_path / "named.onnx", network) == answers_of(tmp_path / "six.onnx", network)
    compress_onnx(source, tmp_path / "net.dcz", PostTraining())
    for target, options in (("onnx", {"short_names": True}), ("onnx-dense", {})):
        export_file(tmp_path / "net.dcz", target, tmp_path / f"{target}.onnx", options)
    assert (tmp_path / "onnx.onnx").read_bytes() == (tmp_path / "six.onnx").read_bytes()
    assert answers_of(tmp_path / "onnx-dense.onnx", network) == answers_of(tmp_path / "six.onnx", network)
    assert (tmp_path / "net.dcz").stat().st_size < six_bits.bytes_after
    before, after = answers_of(source, network), answers_of(tmp_path / "out.onnx", network)
    same = sum(one == two for one, two in zip(before, after, strict=True))
    assert same >= 0.75 * len(before)
