"""Block-by-block computation of volumes: grids, ledgers of finished blocks, pools of workers, and the runner."""

from typing import TYPE_CHECKING

from attacca.blockwise.grid import Block, BlockGrid, check_alignment
from attacca.blockwise.ledger import Ledger, LedgerSummary, ShardWriter
from attacca.blockwise.ledger_files import LedgerFile, read_files
from attacca.blockwise.memory import available_memory, check_memory
from attacca.blockwise.runner import run_blocks
from attacca.blockwise.tally import RunReport
from attacca.lazy_names import import_lazily

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


# scipy's graphs take a second to import, and most jobs do not stitch.
_MODULES = dict.fromkeys(("SegmentBlock", "segment_blockwise"), "attacca.blockwise.segment")
__getattr__ = import_lazily(__name__, _MODULES)
