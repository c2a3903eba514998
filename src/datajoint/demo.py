"""The example to copy: a pipeline that finds the regions of interest in recorded images.

``datajoint demo`` runs it on images that ship with scikit-image. Manual 9.1 to 9.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import Any

import numpy as np

import datajoint as dj

schema = dj.Schema()  # a name and a database are given to it in `main`


@schema
class Recording(dj.Manual):
    definition = """
    # Images to analyse
    recording : varchar(24)            # short name
    ---
    file : varchar(64)                 # in the folder skimage/data
    objects : enum('bright', 'dark')   # what to look for, against the background
    """


@schema
class FilterParam(dj.Lookup):
    definition = """
    # Band-pass filters: objects larger than `finest` and smaller than `coarsest` stand out
    filter : varchar(12)
    ---
    finest : float     # (pixels) standard deviation of the narrow Gaussian
    coarsest : float   # (pixels) standard deviation of the wide one
    """
    contents = [("fine", 1, 16), ("medium", 2, 32), ("coarse", 4, 64)]


@schema
class Image(dj.Imported):
    definition = """
    # Grey images, read from their files
    -> Recording
    ---
    height : smallint   # (pixels)
    width : smallint    # (pixels)
    image : longblob    # grey values from 0 to 255
    """

    def make(self, key: dict[str, Any]) -> None:
        image = read_grey((Recording & key).fetch1("file"))
        height, width = image.shape
        self.insert1(dict(key, height=height, width=width, image=image))


@schema
class FilteredImage(dj.Computed):
    definition = """
    # Every image through every filter
    -> Image
    -> FilterParam
    ---
    filtered_image : longblob   # objects are positive
    """

    def make(self, key: dict[str, Any]) -> None:
        image, objects = (Image * Recording & key).fetch1("image", "objects")
        finest, coarsest = (FilterParam & key).fetch1("finest", "coarsest")
        filtered = band_pass(image, finest, coarsest)
        self.insert1(dict(key, filtered_image=filtered if objects == "bright" else -filtered))


@schema
class Segmentation(dj.Computed):
    definition = """
    # Filtered images taken apart
    -> FilteredImage
    """

    class ROI(dj.Part):
        definition = """
        # Regions of interest
        -> master
        roi : smallint           # number of the region
        ---
        roi_area : int           # (pixels)
        roi_pixels : longblob    # indices of its pixels in the flattened image
        roi_weights : longblob   # values of these pixels in the filtered image
        """

    def make(self, key: dict[str, Any]) -> None:
        filtered = (FilteredImage & key).fetch1("filtered_image")
        self.insert1(key)
        self.ROI.insert(
            dict(key, roi=roi, roi_area=len(pixels), roi_pixels=pixels, roi_weights=weights)
            for roi, (pixels, weights) in enumerate(segment(filtered), start=1)
        )
