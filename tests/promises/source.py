"""The project's Python files as parsed modules, for the rules to look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "circuitwise"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of a folder of Python source."""

    path: str
    """Relative to that folder, for example ``model/forward.py``."""
    text: str
    """What is in it."""

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """Dotted, as it is imported."""
        parts = [PACKAGE, *self.path.removesuffix(".py").split("/")]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def unit(self) -> str:
        """The module or sub-package right below the package; empty for the package itself."""
        return "" if self.path == "__init__.py" else self.path.split("/")[0].removesuffix(".py")

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, Function))

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))

    @property
    def imports(self) -> Iterator[tuple[str, str | None]]:
        """Every import, wherever it stands: the module, and the name taken from it."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


@cache
def read_modules(folder: Path) -> list[Module]:
    """All Python files below a folder, read and parsed once for all rules."""
    files = sorted(folder.rglob("*.py"))
    return [Module(file.relative_to(folder).as_posix(), file.read_text("utf-8")) for file in files]


def called(call: ast.Call) -> str:
    """What is called, as written: ``torch.load``."""
    return ast.unparse(call.func)


def keyword(call: ast.Call, name: str) -> str | None:
    """A keyword argument of a call, as written; None where it is not given."""
    return next((ast.unparse(given.value) for given in call.keywords if given.arg == name), None)
