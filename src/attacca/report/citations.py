"""Publications that a run builds on, as BibTeX entries."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Citation(NamedTuple):
    """A publication.

    Args:
        kind: type of the BibTeX entry.
        fields: fields of the entry in order.
    """

    kind: str
    fields: Mapping[str, str]

    def format(self, key: str) -> str:
        """Return the BibTeX entry.

        >>> print(Citation("software", {"title": "Attacca"}).format("attacca"))
        @software{attacca,
          title = {Attacca},
        }
        """
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"])


def _article(author: str, title: str, journal: str, year: str, doi: str) -> Citation:
    fields = {"author": author, "title": f"{{{title}}}", "journal": journal, "year": year, "doi": doi}
    return Citation("article", fields)


CITATIONS: Mapping[str, Citation] = {
    "attacca": Citation("software", {"author": "{The Attacca developers}", "title": "{Attacca}"}),
    "snakemake": _article(
        "Mölder, Felix and others",
        "Sustainable data analysis with Snakemake",
        "F1000Research",
        "2021",
        "10.12688/f1000research.29032.2",
    ),
    "unet": Citation(
        "inproceedings",
        {
            "author": "Çiçek, Özgün and Abdulkadir, Ahmed and Lienkamp, Soeren S. and Brox, Thomas and Ronneberger, Olaf",
            "title": "{3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation}",
            "booktitle": "Medical Image Computing and Computer-Assisted Intervention",
            "year": "2016",
            "doi": "10.1007/978-3-319-46723-8_49",
        },
    ),
    "muon": Citation(
        "misc",
        {
            "author": "Jordan, Keller and others",
            "title": "{Muon: An optimizer for hidden layers in neural networks}",
            "year": "2024",
            "url": "https://kellerjordan.github.io/posts/muon/",
        },
    ),
    "affinities": _article(
        "Turaga, Srinivas C. and others",
        "Convolutional networks can learn to generate affinity graphs for image segmentation",
        "Neural Computation",
        "2010",
        "10.1162/neco.2009.10-08-881",
    ),
    "lsds": _article(
        "Sheridan, Arlo and others",
        "Local shape descriptors for neuron segmentation",
        "Nature Methods",
        "2023",
        "10.1038/s41592-022-01711-z",
    ),
    "mutex_watershed": _article(
        "Wolf, Steffen and others",
        "The Mutex Watershed and its Objective: Efficient, Parameter-Free Graph Partitioning",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "2021",
        "10.1109/TPAMI.2020.2980827",
    ),
    "mean_affinity": _article(
        "Funke, Jan and others",
        "Large Scale Image Segmentation with Structured Loss Based Deep Learning for Connectome Reconstruction",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "2019",
        "10.1109/TPAMI.2018.2835450",
    ),
    "voi": _article(
        "Meilă, Marina",
        "Comparing clusterings: an information based distance",
        "Journal of Multivariate Analysis",
        "2007",
        "10.1016/j.jmva.2006.11.013",
    ),
    "rand": _article(
        "Arganda-Carreras, Ignacio and others",
        "Crowdsourcing the creation of image segmentation algorithms for connectomics",
        "Frontiers in Neuroanatomy",
        "2015",
        "10.3389/fnana.2015.00142",
    ),
    "ome_zarr": _article(
        "Moore, Josh and others",
        "OME-Zarr: a cloud-optimized bioimaging file format with international community support",
        "Histochemistry and Cell Biology",
        "2023",
        "10.1007/s00418-023-02209-1",
    ),
}
"""Publications by the keys of their BibTeX entries."""


def format_bibliography(keys: Iterable[str], version: str) -> str:
    """Return the BibTeX entries of publications, the version added to Attacca's own.

    >>> format_bibliography(["attacca"], "0.1.0").splitlines()[3]
    '  version = {0.1.0},'
    """
    entries = dict(CITATIONS)
    own = entries["attacca"]
    entries["attacca"] = own._replace(fields={**own.fields, "version": version})
    return "\n\n".join(entries[key].format(key) for key in keys)
