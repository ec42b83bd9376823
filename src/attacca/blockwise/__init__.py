"""Work on volumes block by block: grids, ledgers of finished blocks, and the runner that fills them."""

from typing import TYPE_CHECKING, Any

from attacca.blockwise.grid import Block, BlockGrid, check_alignment
from attacca.blockwise.ledger import (
    Ledger,
    LedgerFile,
    LedgerSummary,
    ShardWriter,
    read_files,
)
from attacca.blockwise.memory import available_memory, check_memory
from attacca.blockwise.runner import run_blocks
from attacca.blockwise.tally import RunReport

if TYPE_CHECKING:
    from attacca.blockwise.segment import SegmentBlock, segment_blockwise

__all__ = [
    "Block",
    "BlockGrid",
    "Ledger",
    "LedgerFile",
    "LedgerSummary",
    "RunReport",
    "SegmentBlock",
    "ShardWriter",
    "available_memory",
    "check_alignment",
    "check_memory",
    "read_files",
    "run_blocks",
    "segment_blockwise",
]


def __getattr__(name: str) -> Any:
    # Stitching needs scipy's graphs, which take a second to import; most jobs do not stitch.
    if name in ("SegmentBlock", "segment_blockwise"):
        from attacca.blockwise import segment

        return getattr(segment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
