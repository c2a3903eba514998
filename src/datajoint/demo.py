"""The example to copy: regions of interest in images of scikit-image (manual 9.1 to 9.3)."""

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
    definition = """  # Recorded images
    image_name  : varchar(24)
    ---
    file        : varchar(64)               # in the folder skimage/data
    objects     : enum('bright', 'dark')    # what to look for, against the background
    """


@schema
class FilterParam(dj.Lookup):
    definition = """  # Filters that keep what is larger than `finest`, smaller than `coarsest`
    filter_name : varchar(12)
    ---
    finest      : float                     # (pixels) width of the narrow Gaussian
    coarsest    : float                     # (pixels) width of the wide Gaussian
    """
    contents = [("fine", 1, 16), ("medium", 2, 32), ("coarse", 4, 64)]


@schema
class Image(dj.Imported):
    definition = """  # Images read from their files
    -> ImageFile
    ---
    image       : longblob                  # grey, from 0 to 1, 512 pixels a side at the most
    """

    def make(self, key: dict[str, Any]) -> None:
        from skimage import io, transform, util

        file = files("skimage") / "data" / (ImageFile & key).fetch1("file")
        image = util.img_as_float32(io.imread(str(file), as_gray=True))
        image = transform.rescale(image, min(1, 512 / max(image.shape)), anti_aliasing=True)
        self.insert1(dict(key, image=image))


@schema
class FilteredImage(dj.Computed):
    definition = """  # Every image through every filter
    -> Image
    -> FilterParam
    ---
    filtered_image : longblob               # the objects are bright
    """

    def make(self, key: dict[str, Any]) -> None:
        from skimage.filters import difference_of_gaussians

        image, objects = (Image * ImageFile & key).fetch1("image", "objects")
        finest, coarsest = (FilterParam & key).fetch1("finest", "coarsest")
        filtered = difference_of_gaussians(image, finest, coarsest, mode="reflect")
        self.insert1(dict(key, filtered_image=filtered if objects == "bright" else -filtered))


@schema
class Segmentation(dj.Computed):
    definition = """  # Filtered images, segmented by a threshold
    -> FilteredImage
    """

    class ROI(dj.Part):
        definition = """  # Regions of interest, of at least 30 pixels
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
        regions = measure.regionprops(measure.label(image > filters.threshold_otsu(image)))
        rois = [np.ravel_multi_index((*r.coords.T,), image.shape) for r in regions if r.area >= 30]
        self.insert1(key)
        self.ROI.insert(
            dict(key, roi=i, roi_area=roi.size, roi_pixels=roi, roi_weights=image.flat[roi])
            for i, roi in enumerate(rois, start=1)
        )


def draw(picture: str, filter_name: str) -> None:
    """Draw the outlines of the regions that a filter gives over the images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.5), layout="constrained")
    for axes, key, image in zip(figure.subplots(2, 3).flat, *Image.fetch("KEY", "image")):
        rois = (Segmentation.ROI & key & {"filter_name": filter_name}).fetch("roi_pixels")
        inside = np.isin(np.arange(image.size), np.concatenate(rois)).reshape(image.shape)
        axes.imshow(image, cmap="gray")
        axes.contour(inside, [0.5], colors="yellow", linewidths=1)
        axes.set(title=f"{key['image_name']}: {len(rois)} regions", xticks=[], yticks=[])
    figure.savefig(picture, dpi=120, bbox_inches="tight")


def main(path: str = "datajoint_demo.db", picture: str = "demo.png") -> None:
    """Run the pipeline in the database `path`, show what is in it, and draw a `picture`."""
    if not (find_spec("skimage") and find_spec("matplotlib")):
        raise dj.DataJointError("The demo needs more packages: pip install 'datajoint[demo]'")
    schema.activate("demo", connection=dj.Connection(backend="sqlite", path=path))
    print(f"\nThe pipeline:\n\n{dj.Diagram(schema)}\n")
    ImageFile.insert(IMAGE_FILES, skip_duplicates=True)
    print(f"Images, entered by hand (* marks the key):\n\n{ImageFile.preview(width=24)}")
    print(f"Filters, listed in the code:\n\n{FilterParam()}")
    print("The other tables compute what they lack:\n", flush=True)
    for table in (Image, FilteredImage, Segmentation):
        if table.progress(display=False)[0]:
            table.populate(display_progress=True)
        else:
            print(f"{table.__name__}: nothing to compute, all {len(table())} are there")

    print(f"\nRegions of interest that were found:\n\n{Segmentation.ROI.preview(limit=5)}")
    regions = Segmentation.aggr(Segmentation.ROI, n="count(*)", mean_area="round(avg(roi_area))")
    print(f"A query: regions per image and filter, mean area:\n\n{regions.preview(limit=20)}")
    draw(picture, filter_name="fine")
    print(f"""The outlines of the regions are drawn in {picture}. To go on, start python and type:

    import datajoint as dj
    from datajoint.demo import FilteredImage, FilterParam, Segmentation, schema
    schema.activate("demo", connection=dj.Connection(backend="sqlite", path={path!r}))
    Segmentation.ROI & {{"image_name": "coins", "filter_name": "fine"}} & "roi_area > 2000"
    FilterParam.insert1(("sharp", 0.5, 8))
    FilteredImage.populate(), Segmentation.populate()
""")
