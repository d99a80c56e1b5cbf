"""`vitruvian bench pose` beside LiteRT: the same networks, one crop each, the fastest of many runs on both sides.

Run by scripts/bench-pose, which installs what is imported here. Arguments: our program, MediaPipe's wheel, threads.
Rounds of both take turns, so that whatever else the machine does falls on both.
"""

import json
import subprocess
import sys
import time
import zipfile

import numpy
from ai_edge_litert.interpreter import Interpreter

ROUNDS = 3
BUDGET_SECS = 1.5
# Our name of the step, and the same network in the wheel.
SAME = {
    "blaze pose": "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "hand landmarks": "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
}


def load(wheel, name, threads):
    interpreter = Interpreter(model_content=wheel.read(name), num_threads=threads)
    interpreter.allocate_tensors()
    shape = interpreter.get_input_details()[0]
    interpreter.set_tensor(shape["index"], numpy.zeros(shape["shape"], numpy.float32))
    return interpreter


def fastest_ms(interpreter):
    interpreter.invoke()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < BUDGET_SECS:
        one = time.perf_counter()
        interpreter.invoke()
        best = min(best, 1e3 * (time.perf_counter() - one))
    return best


def main():
    program, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    wheel = zipfile.ZipFile(path)
    theirs = {name: load(wheel, file, threads) for name, file in SAME.items()}
    ours, others = {}, {}
    for _ in range(ROUNDS):
        run = subprocess.run([program, "bench", "pose", "--json"], check=True, capture_output=True)
        for name, ms in json.loads(run.stdout)["times_ms"].items():
            ours[name] = min(ms, ours.get(name, ms))
        for name, interpreter in theirs.items():
            others[name] = min(fastest_ms(interpreter), others.get(name, float("inf")))
    print(f"{threads} threads, the fastest of many runs, ms{'':10} vitruvian   LiteRT")
    for name, ms in ours.items():
        beside = f"{others[name]:8.1f}" if name in others else ""
        print(f"{name:<40} {ms:11.1f} {beside}")


main()
