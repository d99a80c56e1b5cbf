"""Made-up people in every situation that the rules of COCO's evaluation speak of, measured by three programs.

usage: check_oks.py FOLDER VITRUVIAN
"""
import contextlib
import io
import json
import random
import subprocess
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from xtcocotools.coco import COCO as XtCOCO
from xtcocotools.cocoeval import COCOeval as XtCOCOeval

# COCO-WholeBody's, to the left hand; the right one has the same. Listed once more here, so that ours are checked too.
SIGMAS = [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089, 0.068, 0.066, 0.066, 0.092, 0.094, 0.094, 0.042, 0.043, 0.044, 0.043, 0.04, 0.035, 0.031, 0.025, 0.02,
    0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011,
    0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.01, 0.017, 0.011, 0.009, 0.011, 0.009,
    0.007, 0.013, 0.008, 0.011, 0.012, 0.01, 0.034, 0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.01, 0.008, 0.009,
    0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.01, 0.008, 0.029, 0.022, 0.035, 0.037, 0.047,
    0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.02, 0.019, 0.022, 0.031,
]
SIGMAS += SIGMAS[91:]

FIELDS = {
    "body": ("keypoints", 17),
    "foot": ("foot_kpts", 6),
    "face": ("face_kpts", 68),
    "left hand": ("lefthand_kpts", 21),
    "right hand": ("righthand_kpts", 21),
}


def scene(rng, image, annotations, results):
    """Some people; found well, badly, twice, or not at all; and some found where nobody is."""
    for _ in range(rng.randrange(0, 26)):
        x, y, size = rng.uniform(0, 600), rng.uniform(0, 400), rng.uniform(8, 300)
        truth = {
            "image_id": image,
            "category_id": 1,
            "id": len(annotations) + 1,
            "iscrowd": int(rng.random() < 0.05),
            "bbox": [x, y, size, 2 * size],
            "area": 1.1 * size * size * rng.uniform(0.5, 1.5),
        }
        points = {}
        for field, count in FIELDS.values():
            is_there = rng.random() < 0.7
            values = []
            points[field] = []
            for _ in range(count):
                px, py = x + rng.uniform(0, size), y + rng.uniform(0, 2 * size)
                points[field].append((px, py))
                labelled = is_there and rng.random() < 0.8
                values += [round(px), round(py), rng.choice([1, 2])] if labelled else [0, 0, 0]
            truth[field] = values
        truth["num_keypoints"] = sum(v > 0 for v in truth["keypoints"][2::3])
        annotations.append(truth)
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            blur = size * rng.choice([0.002, 0.01, 0.03, 0.1])
            found = {"image_id": image, "category_id": 1, "score": round(rng.random(), 2)}
            for field, _ in FIELDS.values():
                found[field] = []
                for px, py in points[field]:
                    found[field] += [px + rng.gauss(0, blur), py + rng.gauss(0, blur), rng.uniform(0.1, 1)]
            if rng.random() < 0.5:
                for field, (name, count) in list(FIELDS.items())[1:]:
                    found[name.split("_")[0] + "_score"] = round(rng.random(), 2)
                    if rng.random() < 0.2:
                        found[name] = [0.0] * (3 * count)
            else:
                for name, _ in list(FIELDS.values())[1:]:
                    found[name.split("_")[0] + "_score"] = found["score"]
            found["wholebody_score"] = round(rng.random(), 2)
            results.append(found)


def quietly(run):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return run()


def stats(evaluation):
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    s = evaluation.stats
    return {"ap": s[0], "ap50": s[1], "ap75": s[2], "ar": s[5]}


def main(folder, program):
    rng = random.Random(1)
    worst = 0.0
    for round_number in range(5):
        annotations, results = [], []
        images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(1, 31)]
        for image in images:
            scene(rng, image["id"], annotations, results)
        truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        truth_path, found_path = f"{folder}/annotations.json", f"{folder}/results.json"
        json.dump(truth, open(truth_path, "w"))
        json.dump(results, open(found_path, "w"))
        ours = json.loads(
            subprocess.check_output(
                [program, "pose", "evaluate", truth_path, "--results", found_path, "--json"], stderr=subprocess.DEVNULL
            )
        )["parts"]

        theirs = {}
        coco = quietly(lambda: COCO(truth_path))
        theirs["pycocotools", "body"] = quietly(lambda: stats(COCOeval(coco, coco.loadRes(found_path), "keypoints")))
        sigmas = np.array(SIGMAS)
        ranges, start = {}, 0
        for part, (_, count) in FIELDS.items():
            ranges[part] = (start, start + count)
            start += count
        ranges["whole"] = (0, start)
        for part, (low, high) in ranges.items():
            kind = "keypoints" if part == "body" else "keypoints_" + part.replace(" ", "")
            kind = {"keypoints_whole": "keypoints_wholebody"}.get(kind, kind)

            def run():
                xt = XtCOCO(truth_path)
                return stats(XtCOCOeval(xt, xt.loadRes(found_path), kind, sigmas[low:high], use_area=True))

            theirs["xtcocotools", part] = quietly(run)
        for (judge, part), values in theirs.items():
            for key, value in values.items():
                difference = abs(ours[part][key] - value)
                worst = max(worst, difference)
                if difference > 1e-6:
                    sys.exit(f"{part} {key}: ours {ours[part][key]}, {judge} {value}")
        print(f"round {round_number + 1}: {len(annotations)} people, {len(results)} found, whole AP {ours['whole']['ap']:.4f}")
    print(f"all figures agree; largest difference {worst:.1e}")


main(*sys.argv[1:])
