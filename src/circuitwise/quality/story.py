"""How a set was made, where that lies beside it."""

from pathlib import Path

from circuitwise.dictionaries.shipped import SHIPPED, shipped_folder
from circuitwise.storage.jsontext import parse_json
from circuitwise.training.finishing import SET, STORY


def tokens_seen(name: str) -> int | None:
    """The tokens that a set was trained on, repetitions counted: what the story beside it tells, if there is one."""
    if name in SHIPPED:
        folders = [shipped_folder(name)]
    else:
        path = Path(name).expanduser().absolute()
        folders = [path, *([path.parent] if path.name == SET else [])]
    for story in (folder / STORY for folder in folders):
        if story.is_file():
            match parse_json(story.read_text("utf-8"), what=str(story)):
                case {"history": [*_, {"n_tokens": int(n_tokens)}]}:
                    return n_tokens
                case _:
                    pass
    return None
