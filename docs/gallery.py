"""The order of the gallery: by use, the tutorial first."""

from sphinx_gallery.sorting import FileNameSortKey

GALLERY = [
    "tutorial",
    "first_look",
    "density_where_mixtures_fail",
    "outliers",
    "outlier_scorers",
    "shift_in_time",
    "predictive_distributions",
    "two_targets",
    "fill_in_values",
    "ensembles_and_tails",
    "latent_space",
    "mask_layouts",
    "search_watched",
    "scaling_a_search",
]


class ByUse(FileNameSortKey):
    """The order of the gallery; a page that is not in the list comes last."""

    def __call__(self, filename):
        name = filename.removeprefix("plot_").removesuffix(".py")
        return GALLERY.index(name) if name in GALLERY else len(GALLERY)
