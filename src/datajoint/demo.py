"""The example to copy: a pipeline that finds regions of interest in recorded images.

``datajoint demo`` runs it on images that ship with scikit-image. Manual 9.1 to 9.3.
"""

from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import numpy as np

import datajoint as dj

IMAGE_FILES = [
    ("coins", "coins.png", "bright"),
    ("galaxies", "hubble_deep_field.jpg", "bright"),
    ("microaneurysms", "microaneurysms.png", "dark"),
    ("moon", "moon.png", "dark"),
    ("retina", "retina.jpg", "dark"),
    ("tissue", "ihc.png", "dark"),
]

schema = dj.Schema()  # `main` gives it a name and a database


@schema
class ImageFile(dj.Manual):
    definition = """
    # Recorded images
    image_name  : varchar(24)
    ---
    file        : varchar(64)               # in the folder skimage/data
    objects     : enum('bright', 'dark')    # what to look for, against the background
    """


@schema
class FilterParam(dj.Lookup):
    definition = """
    # Filters that keep what is larger than `finest` and smaller than `coarsest`
    filter_name : varchar(12)
    ---
    finest      : float                     # (pixels) width of the narrow Gaussian
    coarsest    : float                     # (pixels) width of the wide Gaussian
    """
    contents = [("fine", 1, 16), ("medium", 2, 32), ("coarse", 4, 64)]


@schema
class Image(dj.Imported):
    definition = """
    # Images read from their files, at most 512 pixels a side
    -> ImageFile
    ---
    image       : longblob                  # grey values, from 0 to 1
    """

    def make(self, key: dict[str, Any]) -> None:
        from skimage import io, transform, util

        file = (ImageFile & key).fetch1("file")
        image = util.img_as_float32(io.imread(files("skimage") / "data" / file, as_gray=True))
        image = transform.rescale(image, min(1, 512 / max(image.shape)), anti_aliasing=True)
        self.insert1({**key, "image": image})


@schema
class FilteredImage(dj.Computed):
    definition = """
    # Every image through every filter
    -> Image
    -> FilterParam
    ---
    filtered_image : longblob               # objects are brighter than 0
    """

    def make(self, key: dict[str, Any]) -> None:
        from skimage.filters import difference_of_gaussians

        image, objects = (Image * ImageFile & key).fetch1("image", "objects")
        finest, coarsest = (FilterParam & key).fetch1("finest", "coarsest")
        filtered = difference_of_gaussians(image, finest, coarsest, mode="reflect")
        self.insert1({**key, "filtered_image": filtered if objects == "bright" else -filtered})


@schema
class Segmentation(dj.Computed):
    definition = """
    # Filtered images, segmented by Otsu's threshold
    -> FilteredImage
    """

    class ROI(dj.Part):
        definition = """
        # Regions of interest, of at least 30 pixels
        -> master
        roi         : smallint
        ---
        roi_area    : int                   # (pixels)
        roi_pixels  : longblob              # indices into the flattened image
        roi_weights : longblob              # values of these pixels in the filtered image
        """

    def make(self, key: dict[str, Any]) -> None:
        from skimage import filters, measure

        image = (FilteredImage & key).fetch1("filtered_image")
        labels = measure.label(image > filters.threshold_otsu(image))
        rois: list[dict[str, Any]] = []
        for region in measure.regionprops(labels):
            if region.area >= 30:
                pixels = np.ravel_multi_index(tuple(region.coords.T), image.shape)
                roi = {"roi": len(rois), "roi_area": pixels.size, "roi_pixels": pixels}
                rois.append({**key, **roi, "roi_weights": image.flat[pixels]})
        self.insert1(key)
        self.ROI.insert(rois)


def draw(picture: str, filter_name: str) -> None:
    """Draw the outlines of the regions that a filter gives over the images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.5), layout="constrained")
    for axes, key in zip(figure.subplots(2, 3).flat, Image.fetch("KEY")):
        image = (Image & key).fetch1("image")
        regions = (Segmentation.ROI & key & {"filter_name": filter_name}).fetch("roi_pixels")
        inside = np.isin(np.arange(image.size), np.concatenate(regions)).reshape(image.shape)
        axes.imshow(image, cmap="gray")
        axes.contour(inside, [0.5], colors="yellow", linewidths=1)
        axes.set_title(f"{key['image_name']}: {len(regions)} regions", fontsize=14)
        axes.set_axis_off()
    figure.savefig(picture, dpi=120, bbox_inches="tight")


def show(title: str, content: object) -> None:
    """Print something under a title."""
    print(f"\n{title}\n\n{content}".rstrip(), flush=True)


def main(path: str = "datajoint_demo.db", picture: str = "demo.png") -> None:
    """Run the pipeline in the database `path`; show what comes out, and draw it in `picture`."""
    if not (find_spec("skimage") and find_spec("matplotlib")):
        raise dj.DataJointError("The demo needs more packages: pip install 'datajoint[demo]'")
    schema.activate("demo", connection=dj.Connection(backend="sqlite", path=path))
    show("The pipeline:", dj.Diagram(schema))
    ImageFile.insert(IMAGE_FILES, skip_duplicates=True)
    show("Images to analyse, entered by hand (* marks the key):", ImageFile.preview(width=24))
    show("Filters, listed in the code:", FilterParam())

    computed = Image, FilteredImage, Segmentation
    if any(table.progress(display=False)[0] for table in computed):
        show("Each of the other tables computes what it lacks:", "")
        for table in computed:
            table.populate(display_progress=True)
    else:
        show("Nothing to compute, everything is there:", "")
    for table in computed:
        table.progress()

    show("Regions of interest:", Segmentation.ROI.preview(limit=5))
    rois = Segmentation.aggr(Segmentation.ROI, regions="count(*)", mean_area="avg(roi_area)")
    show("A query: regions per image and filter, and their mean area:", rois.preview(limit=20))
    draw(picture, filter_name="fine")
    show(f"The outlines of the regions are drawn in {picture}. Next, try in Python:", NEXT)
