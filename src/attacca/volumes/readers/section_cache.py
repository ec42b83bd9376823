"""Cache of decoded sections."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

# With 0.5 GiB, the blocks of one layer decode each section once.
_CACHE_BYTES = 512 * 2**20


class SectionCache:
    """Least recently used sections of a source, up to 0.5 GiB. A pickled cache is empty.

    Args:
        decode: returns the section of an index.
    """

    def __init__(self, decode: Callable[[int], np.ndarray]) -> None:
        self._decode = decode
        self._sections: OrderedDict[int, np.ndarray] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_sections": OrderedDict()}

    def __getitem__(self, index: int) -> np.ndarray:
        if index in self._sections:
            self._sections.move_to_end(index)
            return self._sections[index]
        section = self._decode(index)
        self._sections[index] = section
        while len(self._sections) > 1 and len(self._sections) * section.nbytes > _CACHE_BYTES:
            self._sections.popitem(last=False)
        return section
