"""The cases of `vitruvian bench` in PyTorch and onnxruntime; reads its JSON on stdin and prints one table.

Run by scripts/bench, which installs what is imported here. Each number is the median of repeated runs after a warm-up,
as in src/commands/bench.rs. Backward gives gradients to the input and to the weights.
"""

import io
import json
import statistics
import sys
import time
import warnings

import numpy
import onnxruntime
import torch
from torch.nn import functional as F

BUDGET_SECS = 0.5

# The old exporter needs no further package; it says that it is old.
warnings.filterwarnings("ignore")


def conv(shape, out, kernel, **options):
    return shape, [(out, shape[1] // options.get("groups", 1), kernel, kernel)], lambda x, w: F.conv2d(x, w, **options)


# The same names as in src/commands/bench.rs: input, weights, operation.
CASES = {
    "conv 3x3 64>64 @256": conv((1, 64, 256, 256), 64, 3, padding=1),
    "conv 3x3 512>512 @32": conv((1, 512, 32, 32), 512, 3, padding=1),
    "conv 1x1 256>256 @64": conv((1, 256, 64, 64), 256, 1),
    "conv 3x3 s2 64>128 @256": conv((1, 64, 256, 256), 128, 3, stride=2, padding=1),
    "transposed 3x3 s2 128>64 @128": (
        (1, 128, 128, 128),
        [(128, 64, 3, 3)],
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1),
    ),
    "depthwise 3x3 128 @64": conv((1, 128, 64, 64), 128, 3, padding=1, groups=128),
    "group norm 32 of 64 @256": ((1, 64, 256, 256), [(64,), (64,)], lambda x, w, b: F.group_norm(x, 32, w, b)),
    "instance norm 64 @256": ((1, 64, 256, 256), [], F.instance_norm),
    "nearest x2 64 @128": ((1, 64, 128, 128), [], lambda x: F.interpolate(x, scale_factor=2)),
    "bilinear x2 64 @128": ((1, 64, 128, 128), [], lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "ReLU 64 @256": ((1, 64, 256, 256), [], F.relu),
}


def median_ms(work):
    work()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < BUDGET_SECS:
        one = time.perf_counter()
        work()
        times.append((time.perf_counter() - one) * 1e3)
    return statistics.median(times)


class Case(torch.nn.Module):
    def __init__(self, operation, weights):
        super().__init__()
        self.operation = operation
        self.weights = torch.nn.ParameterList(torch.randn(shape) * 0.1 for shape in weights)

    def forward(self, x):
        return self.operation(x, *self.weights)


def measure(shape, weights, operation, threads):
    module = Case(operation, weights)
    x = torch.randn(shape)
    with torch.no_grad():
        forward = median_ms(lambda: module(x))
        ones = torch.ones_like(module(x))
    tracked = x.clone().requires_grad_()
    both = median_ms(lambda: module(tracked).backward(ones))

    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = {"x": numpy.ascontiguousarray(x.numpy())}
    return forward, both, median_ms(lambda: session.run(None, feed))


def main():
    ours = json.load(sys.stdin)
    torch.set_num_threads(ours["threads"])
    print(f"{ours['threads']} threads, PyTorch {torch.__version__}, onnxruntime {onnxruntime.__version__}; median ms")
    head = ["ours", "PyTorch", "onnxrt", "ratio", "ours f+b", "PyTorch f+b", "ratio", "candle", "candle f+b"]
    print(f"{'':<30}" + "".join(f"{text:>12}" for text in head))
    ratios = []
    for row in ours["rows"]:
        forward, both, onnx = measure(*CASES[row["name"]], ours["threads"])
        ratio, ratio_both = forward / row["forward_ms"], both / row["forward_backward_ms"]
        ratios += [ratio, ratio_both]
        values = [row["forward_ms"], forward, onnx, ratio, row["forward_backward_ms"], both, ratio_both]
        values += [row["candle_forward_ms"], row["candle_forward_backward_ms"]]
        cells = ["–" if value is None else f"{value:.2f}" for value in values]
        print(f"{row['name']:<30}" + "".join(f"{cell:>12}" for cell in cells))
    print(f"Speed against PyTorch (above 1 is faster): lowest {min(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
