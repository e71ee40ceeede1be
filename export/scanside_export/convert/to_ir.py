"""OpenVINO IR beside the ONNX files: the same network, the contract in `rt_info`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openvino

from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract
from scanside_runtime.model.engine import Floats, openvino_core


def write_ir(onnx_file: Path, contract: ModelContract, *, compress_to_fp16: bool) -> Path:
    """Write NAME.xml and NAME.bin beside NAME.onnx and return the XML's path."""
    model = openvino_core().read_model(onnx_file)
    model.set_rt_info(contract.to_json(), [CONTRACT_KEY])
    target = onnx_file.with_suffix(".xml")
    openvino.save_model(model, target, compress_to_fp16=compress_to_fp16)
    return target


class IrEngine:
    """An IR behind the runtime's interface, for the exporter's check; computed in FP32 like the others."""

    computed_in = "fp32"
    version = openvino.__version__

    def __init__(self, xml: Path) -> None:
        threads = len(os.sched_getaffinity(0))
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        self._compiled = openvino_core().compile_model(xml, "CPU", options)

    def infer(self, batch: Floats) -> Floats:
        """See `scanside_runtime.model.engine.Engine`."""
        return np.array(self._compiled([batch])[0], dtype=np.float32)
