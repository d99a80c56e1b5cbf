"""Cuts the pictures of the body and hand networks' parity tests from scikit-image's photograph of a photographer
(CC0, Lav Varshney; in the PyPI package scikit-image as data/camera.png).

    pip install scikit-image==0.26.0 pillow==13.0.0
    python make_crops.py .
"""
import sys
from pathlib import Path

import skimage
from PIL import Image

folder = Path(sys.argv[1])
photo = Image.open(Path(skimage.__file__).parent / "data" / "camera.png").convert("L")
photo.resize((256, 256), Image.LANCZOS).save(folder / "body_a.png", optimize=True)
photo.crop((145, 160, 257, 272)).resize((224, 224), Image.BICUBIC).save(folder / "hand_a.png", optimize=True)
