"""Documentation of a model as Markdown: the page of its package in the BioImage Model Zoo."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attacca.exchange.portable_network import PortableNetwork
from attacca.report.choice import is_number, read_choice
from attacca.report.model_card import list_model_facts


def write_model_page(portable: PortableNetwork, attached: str) -> str:
    """Return the page of a model.

    Args:
        portable: the network and its description.
        attached: name of Attacca's model file in the package.
    """
    return "\n".join(_list_lines(portable, attached)) + "\n"


def _list_lines(portable: PortableNetwork, attached: str) -> Iterator[str]:
    description = portable.description
    yield f"# {description.name}"
    yield ""
    if description.about.description:
        yield from (description.about.description, "")
    yield f"A network of Attacca for the task `{description.task['type']}`, with the channels"
    yield "of the output, in this order:"
    yield ""
    yield from (f"- `{name}`" for name in portable.network.channel_names)
    yield ""
    if portable.network.offsets is not None:
        yield "An affinity is near 1 if a voxel and its partner at the offset (in voxels, z y x or y x) belong to one"
        yield "object, and near 0 otherwise."
        yield ""
    yield from ("| | |", "|---|---|")
    for name, value in list_model_facts(description, portable.digest):
        text = " ".join(value.split()).replace("|", "\\|")
        yield f"| {name} | {text} |"
    yield from ("", "## Application", "")
    yield "Images need the voxel size above. Any program that runs packages of the BioImage Model Zoo computes the"
    yield "prediction. Attacca also segments it with the settings that were chosen for the model:"
    yield from ("", "```bash", "attacca apply PACKAGE.zip --raw VOLUME --out RESULTS", "```", "")
    yield f"`{attached}` in the package is the model file of Attacca, from which the training can be continued."
    yield from ("", "## Validation", "")
    yield from _list_scores(description.tuning, description.chosen)


def _list_scores(tuning: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[str]:
    choice = read_choice({"result": {**tuning, "chosen": chosen}})
    if choice.rows:
        yield f"The settings of the segmentation are the best of {len(choice.rows)} candidates by `{choice.criterion}`"
        yield "on the validation volumes. The model file has all candidates with their scores."
    else:
        yield "The settings of the segmentation are those of the configuration; no candidates were compared."
    if choice.row is not None:
        yield from ("", "| value of the chosen candidate | |", "|---|---|")
        yield from (f"| `{name}` | {value:.4g} |" for name, value in choice.row.items() if is_number(value))
    yield from ("", "```json", json.dumps(dict(chosen), indent=1, sort_keys=True), "```")
