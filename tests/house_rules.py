"""The rules of the house, each a function from text to a list of complaints."""

import ast
import graphlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import NamedTuple

# An import points to a lower floor, or to a sibling in the same folder.
FLOORS = {
    "types": 0,
    "files": 0,
    "strict_json": 0,
    "container": 0.5,
    "ops": 1,
    "models": 2,
    "objectives": 3,
    "train": 4,
    "data": 5,
    "explain": 6,
    "sop_file": 6.9,
    "tabular": 7,
    "texts": 7,
    "vision": 7,
    "explanation": 7.3,
    "interop": 7,
    "estimators": 7.5,
    "layout": 0.6,
    "table_file": 7.54,
    "numpy_nae": 0.7,
    "serving": 7.6,
    "settings": 0,
    "evaluation": 6.5,
    "artifact": 8,
    "sql": 8.05,
    "stablehlo": 8.1,
    "reports": 8.15,
    "runs": 8.2,
    "__init__": 8.5,
    "commands": 8.8,
    "compiled": 0,
    "sweeps": 7.6,
    "usage": 8.9,
    "cli": 9,
    "__main__": 10,
}
MAX_LINES = 350
# Imported only inside the functions that need them.
LAZY = {
    "scikit-learn",
    "matplotlib",
    "grain",
    "tensorflow-cpu",
    "tensorboardX",
    "tokenizers",
    "pyarrow",
}
# Its classes derive from scikit-learn's; naejax itself imports it when it is asked for.
AT_ONCE = {"naejax/estimators": {"scikit-learn"}}
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "orbax": "orbax-checkpoint",
    "tensorflow": "tensorflow-cpu",
    "PIL": "pillow",
}
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(work|root|tmp/w)/")


class Import(NamedTuple):
    """One imported name: ``from a.b import c`` gives ``a.b.c``."""

    name: str
    line: int
    lazy: bool


def imports(path: str, source: str) -> list[Import]:
    """All imports of a file, made absolute; those inside functions are lazy."""
    found = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(a.name, node.lineno, lazy) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.split("/")[: -node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                name = ".".join([*base, alias.name])
                found.append(Import(name, node.lineno, lazy))
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, lazy)

    visit(ast.parse(source), False)
    return found


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def import_graph(sources: dict[str, str]) -> dict[str, dict[str, int]]:
    """For each file of the package, the files it imports and the line where."""
    files = {module_name(path): path for path in sources}
    graph: dict[str, dict[str, int]] = {path: {} for path in sources}
    for path, source in sources.items():
        for name, line, _ in imports(path, source):
            target = files.get(name) or files.get(name.rpartition(".")[0])
            if target and target != path:
                graph[path].setdefault(target, line)
    return graph


def floor_errors(sources: dict[str, str]) -> list[str]:
    """Imports that point up, files without a floor, and circles of imports."""
    rooms = {path: path.split("/")[1].removesuffix(".py") for path in sources}
    homeless = [path for path in sources if rooms[path] not in FLOORS]
    if homeless:
        return [f"{path}: give it a floor in FLOORS" for path in homeless]
    graph = import_graph(sources)
    errors = []
    for path, targets in graph.items():
        for target, line in targets.items():
            below = FLOORS[rooms[target]] < FLOORS[rooms[path]]
            beside = FLOORS[rooms[target]] == FLOORS[rooms[path]] and (
                Path(target).parent == Path(path).parent
            )
            if not (below or beside):
                errors.append(f"{path}:{line}: imports {target}, which is not below")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        errors.append(f"circle of imports: {' <- '.join(error.args[1])}")
    return errors


def length_errors(sources: dict[str, str]) -> list[str]:
    counts = {path: len(source.splitlines()) for path, source in sources.items()}
    return [f"{path}: {n} lines" for path, n in counts.items() if n > MAX_LINES]


def public_definitions(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Public classes, functions and methods with their dotted names."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_":
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}{node.name}.")


def docstring_errors(path: str, source: str) -> list[str]:
    """Modules and public classes, functions and methods without a docstring."""
    tree = ast.parse(source)
    errors = [] if ast.get_docstring(tree) else [f"{path}: no module docstring"]
    for name, node in public_definitions(tree.body):
        # Flax names `setup`, so there is nothing to tell.
        if not ast.get_docstring(node) and node.name != "setup":
            errors.append(f"{path}:{node.lineno}: {name} has no docstring")
    return errors


def exports(module: ModuleType) -> list[str]:
    """What ``__all__`` lists, else the public names that the module defines."""
    own = [
        name
        for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", None) == module.__name__
    ]
    return getattr(module, "__all__", own)


def export_errors(module: ModuleType) -> list[str]:
    """Exported names that do not exist or whose docstring lacks a section."""
    errors = []
    for name in exports(module):
        value = inspect.unwrap(getattr(module, name, None))
        where = f"{module.__name__}.{name}"
        if value is None:
            errors.append(f"{where} does not exist")
        elif inspect.ismodule(value):
            errors += export_errors(value)
        elif inspect.isclass(value) or inspect.isfunction(value):
            absent = missing_sections(value)
            errors += [f"{where} has no {section}" for section in absent]
    return errors


def is_record(value: type) -> bool:
    """NamedTuples and frozen dataclasses: the function that returns one shows it."""
    parameters = getattr(value, "__dataclass_params__", None)
    return issubclass(value, tuple) or bool(parameters and parameters.frozen)


def missing_sections(value: type | FunctionType) -> list[str]:
    """Sections that an exported docstring should have and does not."""
    wanted = {"docstring": ".", "example": ">>>"}
    if inspect.isclass(value) and issubclass(value, Exception):
        del wanted["example"]
    elif inspect.isclass(value):
        wanted["Args or Attributes"] = "(Args|Attributes):"
        if is_record(value):
            del wanted["example"]
    else:
        signature = inspect.signature(value)
        if signature.parameters:
            wanted["Args"] = "Args:"
        if signature.return_annotation not in (None, "None", signature.empty):
            wanted["Returns"] = "(Returns|Yields):"
    text = value.__doc__ or ""
    return [name for name, pattern in wanted.items() if not re.search(pattern, text)]


def distribution(module: str) -> str:
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top).replace("_", "-")


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", text)[0] for text in requirements}


def dependency_errors(path: str, source: str, project: dict) -> list[str]:
    """Third-party imports that are not declared, or not lazy where they must be."""
    extras = project["optional-dependencies"]
    declared = names(project["dependencies"]).union(
        *(names(extras[extra]) for extra in extras if extra != "test")
    )
    errors = []
    for name, line, lazy in imports(path, source):
        top = name.partition(".")[0]
        if top == "naejax" or top in sys.stdlib_module_names:
            continue
        if distribution(top) not in declared:
            errors.append(f"{path}:{line}: {top} is not a dependency")
        at_once = AT_ONCE.get(path.rpartition("/")[0], set())
        if distribution(top) in LAZY - at_once and not lazy:
            errors.append(f"{path}:{line}: import {top} inside a function")
    return errors


def readme_errors(readme: str) -> list[str]:
    """The README holds two commands, each alone in its block: train, then test."""
    lines = re.findall(r"^pip install -e .*", readme, re.MULTILINE)
    blocks = re.findall(r"^```bash\n(pip install -e .*)\n```$", readme, re.MULTILINE)
    if lines != blocks or len(lines) != 2:
        return [f"want two commands, each in its own bash block; got {lines}"]
    wanted = ("naejax train", "pytest")
    return [
        f"{w!r} not in {b!r}" for w, b in zip(wanted, blocks, strict=True) if w not in b
    ]


def version_errors(version: str, package: str, changelog: str) -> list[str]:
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    found = {"package": package, "changelog": newest[1] if newest else None}
    return [f"{k}: {v}, not {version}" for k, v in found.items() if v != version]


def machine_errors(path: str, text: str) -> list[str]:
    """Mentions of folders that exist on one machine only."""
    lines = enumerate(text.splitlines(), start=1)
    return [f"{path}:{n}: {line}" for n, line in lines if MACHINE_PATH.search(line)]


def lock_errors(lock: dict) -> list[str]:
    """Locked packages that come from anywhere but one registry or this folder."""
    sources = [p["source"] for p in lock["package"] if p["source"] != {"editable": "."}]
    registries = {source.get("registry", str(source)) for source in sources}
    if len(registries) == 1 and registries.pop().startswith("https://"):
        return []
    return [f"want one registry, reached by https; got {sorted(registries)}"]
