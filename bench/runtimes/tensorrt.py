"""Runtime `tensorrt`: an engine built ahead of time for the batch, in float32, with torch holding the GPU's memory."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_cuda, missing_modules, prepare_plain

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    return missing_cuda() or missing_modules("tensorrt", "tensorrt")


def _logger() -> Any:
    import tensorrt

    return tensorrt.Logger(tensorrt.Logger.ERROR)


def _prepare(path: Path, directory: Path, options: LoadOptions) -> Path:
    """Parse the plain ONNX file and build the engine, without TF32, so that float32 means the same as elsewhere."""
    import tensorrt

    logger = _logger()
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    plain = prepare_plain(path, directory, options)
    if not parser.parse_from_file(str(plain)):
        raise BenchError(f"{path.name}: TensorRT refuses it ({parser.get_error(0).desc()})")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BenchError(f"{path.name}: TensorRT builds no engine")
    target = directory / "network.engine"
    target.write_bytes(bytes(engine))
    return target


def _load(path: Path, options: LoadOptions) -> Session:
    import tensorrt
    import torch

    engine = tensorrt.Runtime(_logger()).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise BenchError(f"{path.name}: TensorRT cannot load the engine that it built")
    context = engine.create_execution_context()
    tensors = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    names = {engine.get_tensor_mode(name): name for name in tensors}
    source, sink = names[tensorrt.TensorIOMode.INPUT], names[tensorrt.TensorIOMode.OUTPUT]
    batch = torch.from_numpy(options.inputs).to(options.device)
    output = torch.empty(tuple(engine.get_tensor_shape(sink)), dtype=torch.float32, device=options.device)
    context.set_tensor_address(source, batch.data_ptr())
    context.set_tensor_address(sink, output.data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has not typed it

    def call() -> None:
        if not context.execute_async_v3(stream.cuda_stream):
            raise BenchError("TensorRT: the execution failed")
        stream.synchronize()

    return Session(call, lambda: np.asarray(output.cpu().numpy(), dtype=np.float32))


RUNTIME = Runtime(
    summary="TensorRT engine built for the batch, float32 without TF32",
    suffixes=(".onnx",),
    devices=("cuda",),
    modules=("tensorrt", "torch"),
    available=_available,
    load=_load,
    prepare=_prepare,
)
