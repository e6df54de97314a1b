"""Rules about the shape of the code: each returns one sentence for every place that breaks it."""

import ast
from collections.abc import Iterator

from tests.promises.source import PACKAGE, Function, Module

TIERS = (
    {"errors"},
    {"vocabulary", "storage", "cache"},
    {"prompts"},
    {"suites"},
    {"model", "dictionaries", "graph", "edits"},
    {"circuit", "replacement"},
    {"features", "targets", "memory", "interchange", "training"},
    {"planted"},
    {"attribution", "intervention", "patching"},
    {"evidence"},
    {"quality", "study"},
    {"report"},
    {""},  # circuitwise/__init__.py, the public API
    {"web", "cli"},
    {"__main__"},
)
"""Imports point to an earlier tier, or stay inside the same module or sub-package."""

LEVELS = {unit: level for level, tier in enumerate(TIERS) for unit in tier}

BANNED_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "base", "core", "manager", "handler", "runner"}
BANNED_WORDS |= {"factory"}
SHORTENED = {"cfg", "acts", "act", "feat", "feat_idx", "idx", "tmp", "data", "info"}
MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 400, 60, 7


def own_imports(module: Module, names: set[str]) -> Iterator[str]:
    """The modules of the package that this one imports."""
    for source, taken in module.imports:
        if source.split(".")[0] == PACKAGE:
            yield f"{source}.{taken}" if f"{source}.{taken}" in names else source


def imports_point_down(modules: list[Module]) -> Iterator[str]:
    """Imports go to a lower level, or stay inside their sub-package."""
    units = {module.name: module.unit for module in modules}
    for module in modules:
        if module.unit not in LEVELS:
            yield f"{module.path} has no level: put “{module.unit}” into a tier of TIERS."
            continue
        for name in own_imports(module, set(units)):
            unit = units.get(name)
            if unit is None:
                yield f"{module.path} imports {name}, which does not exist."
            elif unit != module.unit and LEVELS.get(unit, len(TIERS)) >= LEVELS[module.unit]:
                yield f"{module.path} imports {name}, which is not below it."


def no_import_cycles(modules: list[Module]) -> Iterator[str]:
    """No module reaches itself through what it imports."""
    names = {module.name for module in modules}
    leads = {module.name: set(own_imports(module, names)) & names - {module.name} for module in modules}
    for module in modules:
        reached, ahead = set[str](), set(leads[module.name])
        while ahead:
            reached |= ahead
            ahead = {further for name in ahead for further in leads[name]} - reached
        if module.name in reached:
            yield f"{module.path} imports itself by way of other modules."


def imports_are_absolute_and_public(modules: list[Module]) -> Iterator[str]:
    """Nothing that another file keeps to itself is imported."""
    for module in modules:
        for source, taken in module.imports:
            if source.startswith("."):
                yield f"{module.path} imports {source} relatively."
            if source.split(".")[0] == PACKAGE and (taken or source.split(".")[-1]).startswith("_"):
                yield f"{module.path} imports {taken}, which belongs to {source} alone."


def files_keep_the_budget(modules: list[Module]) -> Iterator[str]:
    """Files are short and at most one folder deep."""
    for module in modules:
        if (n_lines := len(module.text.splitlines())) > MAX_LINES:
            yield f"{module.path} has {n_lines} lines, more than {MAX_LINES}."
        if module.path.count("/") > 1:
            yield f"{module.path} is a sub-package of a sub-package."


def functions_keep_the_budget(modules: list[Module]) -> Iterator[str]:
    """Functions are short and take few parameters."""
    for module in modules:
        for function in module.functions:
            n_lines = (function.end_lineno or 0) - function.lineno + 1
            n_parameters = len(parameters(function))
            if n_lines > MAX_FUNCTION_LINES:
                yield f"{module.path}: {function.name} has {n_lines} lines, more than {MAX_FUNCTION_LINES}."
            if n_parameters > MAX_PARAMETERS:
                yield f"{module.path}: {function.name} has {n_parameters} parameters, more than {MAX_PARAMETERS}."


def parameters(function: Function) -> list[ast.arg]:
    """All parameters but ``self``, ``cls`` and the ``**_`` that drops what a foreign interface passes."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])]
    return [parameter for parameter in every if parameter.arg not in ("self", "cls", "_")]


def words_of(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in name.replace("_", " "))
    return spaced.lower().split()


def modules_and_classes_are_named_for_what_they_are(modules: list[Module]) -> Iterator[str]:
    """No module or class is called by a word that fits anything."""
    for module in modules:
        for part in module.path.removesuffix(".py").split("/"):
            if set(words_of(part)) & BANNED_WORDS:
                yield f"{module.path}: “{part}” says nothing about what is in it."
        for class_ in module.classes:
            if set(words_of(class_.name)) & BANNED_WORDS:
                yield f"{module.path}: class {class_.name} says nothing about what it is."


def functions_are_verbs_without_get_or_do(modules: list[Module]) -> Iterator[str]:
    """No function is called ``get_`` or ``do_``."""
    for module in modules:
        for function in module.functions:
            if function.name.lstrip("_").startswith(("get_", "do_")):
                yield f"{module.path}: {function.name} would be clearer without its first word."


def words_are_spelled_out(modules: list[Module]) -> Iterator[str]:
    """Variables and parameters are whole words."""
    for module in modules:
        for node in module.nodes:
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name in SHORTENED:
                    yield f"{module.path}:{node.lineno}: “{name}” is not a word that says what it holds."
                case _:
                    pass


def every_module_has_a_docstring(modules: list[Module]) -> Iterator[str]:
    """A module opens with what it does."""
    return (f"{module.path} has no docstring." for module in modules if not ast.get_docstring(module.tree))


def every_field_has_a_docstring(modules: list[Module]) -> Iterator[str]:
    """Below every field of a dataclass stands what it is."""
    for module in modules:
        for class_ in module.classes:
            if not any("dataclass" in ast.unparse(decorator) for decorator in class_.decorator_list):
                continue
            for node, below in zip(class_.body, [*class_.body[1:], None], strict=True):
                documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                if isinstance(node, ast.AnnAssign) and not documented:
                    yield f"{module.path}: {class_.name}.{ast.unparse(node.target)} has no docstring below it."


def init_files_only_re_export(modules: list[Module]) -> Iterator[str]:
    """An ``__init__`` holds imports, ``__all__`` and nothing else."""
    for module in modules:
        if not module.path.endswith("__init__.py"):
            continue
        for node in module.tree.body:
            kept = isinstance(node, ast.ImportFrom | ast.Import | ast.Expr)
            if not kept and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__")):
                yield f"{module.path}:{node.lineno} holds more than re-exports."


def exports_are_complete_and_sorted(modules: list[Module]) -> Iterator[str]:
    """What an ``__init__`` takes from the package is exactly its ``__all__``; every ``__all__`` is sorted."""
    for module in modules:
        listed = exported(module)
        if listed is not None and listed != sorted(listed):
            yield f"{module.path}: __all__ is not sorted."
        if not module.path.endswith("__init__.py"):
            continue
        taken = list(re_exports(module))
        for alias in taken:
            if alias.asname != alias.name:
                yield f"{module.path}: write “{alias.name} as {alias.name}”."
        public = {name for name in listed or [] if not name.startswith("_")}
        for name in sorted({alias.name for alias in taken} ^ public):
            yield f"{module.path}: {name} is either imported or in __all__, but not both."


def re_exports(module: Module) -> Iterator[ast.alias]:
    """The names that an ``__init__`` takes from the package."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield from node.names


def exported(module: Module) -> list[str] | None:
    """The names in ``__all__``; None where there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None
