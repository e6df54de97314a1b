"""Prompts with their answers, and reading them from files that say where they are wrong."""

from circuitwise.prompts.item import SPLITS as SPLITS
from circuitwise.prompts.item import Item as Item
from circuitwise.prompts.item import Split as Split
from circuitwise.prompts.record import Record as Record
from circuitwise.prompts.record import read_json_lines as read_json_lines
from circuitwise.prompts.tables import read_toml as read_toml
from circuitwise.prompts.tokens import Encode as Encode
from circuitwise.prompts.tokens import ItemTokens as ItemTokens
from circuitwise.prompts.tokens import tokenize_item as tokenize_item

__all__ = [
    "Encode",
    "Item",
    "ItemTokens",
    "Record",
    "SPLITS",
    "Split",
    "read_json_lines",
    "read_toml",
    "tokenize_item",
]
