"""The dependency direction of the core, proved from its sources; and that the proof can fail."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "sepme_core"
HOST = {"nodes", "comfy", "comfy_api", "comfy_extras", "folder_paths", "server", "execution"}
ALLOWED = {"torch", "safetensors", "sepme_core"}

# A module may import only modules of the layers above its own line; those in a folder are named
# after it, and the folders are floors: text below space.
LAYERS = [
    {"errors"},
    {"text.language"},
    {"space.logistic"},
    {"space.gate"},
    {"safetensors_file", "spelling"},
    {"concepts", "config", "denoiser", "embeddings", "nullspace", "objective", "stopping"},
    {"separation", "text_fields"},
    {"anchors", "closed_form", "dead_zone", "neighbours", "preserve", "targets"},
    {"directions"},
    {"increment"},
    {"application", "increment_file", "strangers"},
    {"doubles", "leak", "leak_table", "paper", "planning", "refine"},
    {"erase", "reseparate"},
    {"certificate_prompts", "report"},
    {"certificate", "lora"},
    {"certificate_report"},
]
FLOORS = {name.split(".")[0] for names in LAYERS for name in names if "." in name}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILE_FORMAT_MAY_KNOW = {"concepts", "dead_zone", "errors", "increment", "safetensors_file"}


def imports(source: str, package: str = "sepme_core") -> Iterator[str]:
    """Every imported module in full, wherever in the source; relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level]
            parent = ".".join(above) or "<outside>"
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (f"{parent}.{name}" for name in names)


def package_of(name: str) -> str:
    """The package that a module of the core lies in, by the module's dotted name."""
    return ".".join(["sepme_core", *name.split(".")[:-1]])


def foreign(source: str, package: str = "sepme_core") -> list[str]:
    """What a module imports beside the standard library, torch, safetensors and the core."""
    roots = {name.split(".")[0] for name in imports(source, package)}
    return sorted(roots - ALLOWED - set(sys.stdlib_module_names))


def of_the_host(source: str) -> list[str]:
    """What a module imports of ComfyUI or of our nodes; `comfy*` by any name."""
    parts = {part for name in imports(source) for part in name.split(".")}
    return sorted(p for p in parts if p in HOST or p.startswith("comfy"))


def core_imports(source: str, package: str = "sepme_core") -> set[str]:
    """The core's modules that a module imports, those in a folder as `folder.module`."""
    found = (name.split(".") for name in imports(source, package))
    inside = (name[1:] for name in found if name[0] == "sepme_core" and len(name) > 1)
    return {".".join(name[: 2 if name[0] in FLOORS else 1]) for name in inside}


def upward(name: str, source: str) -> list[str]:
    """What a module of the core imports from its own layer or a higher one."""
    found = core_imports(source, package_of(name))
    return sorted(other for other in found if LEVEL[other] >= LEVEL[name])


def at_import(source: str) -> list[str]:
    """What importing a module imports: imports outside of function bodies."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                found.append(ast.unparse(child))
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                visit(child)

    visit(ast.parse(source))
    return found


def prints(source: str) -> list[int]:
    """Lines that print."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and node.id == "print"
    ]


def dotted(path: Path) -> str:
    """A module's name within the core."""
    return ".".join(path.relative_to(CORE).with_suffix("").parts)


SOURCES = {dotted(path): path.read_text("utf-8") for path in sorted(CORE.rglob("*.py"))}
MODULES = [name for name in SOURCES if not name.endswith("__init__")]


def test_every_module_of_the_core_has_its_layer():
    assert set(MODULES) == set(LEVEL)


@pytest.mark.parametrize("name", SOURCES)
def test_core_imports_only_the_standard_library_torch_safetensors_and_itself(name):
    assert foreign(SOURCES[name], package_of(name)) == []


@pytest.mark.parametrize("name", SOURCES)
def test_core_knows_nothing_of_the_host_nor_of_the_nodes(name):
    assert of_the_host(SOURCES[name]) == []


@pytest.mark.parametrize("name", MODULES)
def test_lower_layers_never_import_upper_ones(name):
    assert upward(name, SOURCES[name]) == []


def test_file_format_knows_the_increment_only():
    assert core_imports(SOURCES["increment_file"]) <= FILE_FORMAT_MAY_KNOW
    assert "increment" in core_imports(SOURCES["increment_file"])
    users = {name for name in MODULES if "increment_file" in core_imports(SOURCES[name])}
    assert users == set(), "and the method does not know the file"


def test_core_imports_nothing_just_by_being_there():
    rooms = [name for name in SOURCES if name.endswith("__init__")]
    assert [at_import(SOURCES[name]) for name in rooms] == [[]] * (1 + len(FLOORS))


def test_entry_point_of_the_pack_imports_nothing_until_it_is_asked():
    assert at_import((ROOT / "__init__.py").read_text("utf-8")) == []


@pytest.mark.parametrize("name", SOURCES)
def test_core_prints_nothing(name):
    assert prints(SOURCES[name]) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numpy", ["numpy"]),
        ("from einops.layers import torch", ["einops"]),
        ("def f():\n    import tqdm", ["tqdm"]),
        ("from ..nodes import host", ["<outside>"]),
        ("import torch.nn, json\nfrom . import errors", []),
    ],
)
def test_foreign_import_would_be_found(source, found):
    assert foreign(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import comfy.model_management", ["comfy"]),
        ("from comfy_api.latest import io", ["comfy_api"]),
        ("if True:\n    import folder_paths", ["folder_paths"]),
        ("from ..nodes.host import layers", ["nodes"]),
        ("def f():\n    from server import PromptServer", ["server"]),
        ("import comfyui_frontend_package", ["comfyui_frontend_package"]),
        ("import http.client", []),
    ],
)
def test_import_of_the_host_would_be_found(source, found):
    assert of_the_host(source) == found


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("errors", "from .concepts import Concept", ["concepts"]),
        ("nullspace", "from sepme_core.erase import erase", ["erase"]),
        ("nullspace", "import sepme_core.erase", ["erase"]),
        ("increment", "from . import increment_file, errors", ["increment_file"]),
        ("refine", "def f():\n    from .paper import Outcome", ["paper"]),
        ("erase", "from .report import report\nfrom .leak import Leak", ["report"]),
        ("report", "from .erase import Erasure", []),
        ("text.language", "from ..space.gate import Gate", ["space.gate"]),
        ("space.logistic", "from .gate import Gate", ["space.gate"]),
        (
            "space.gate",
            "from ..text.language import Language\nfrom .logistic import fit_logistic",
            [],
        ),
        ("errors", "from .text.language import Language", ["text.language"]),
    ],
)
def test_upward_import_would_be_found(name, source, found):
    assert upward(name, source) == found


@pytest.mark.parametrize(
    "source",
    [
        "import logging",
        "try:\n    from .nodes import x\nexcept ImportError:\n    pass",
        "class A:\n    import json",
        "if True:\n    from . import nodes",
    ],
)
def test_import_at_module_level_would_be_found(source):
    assert len(at_import(source)) == 1
    assert at_import("async def f():\n    import logging\n    from .nodes import x") == []


def test_print_would_be_found():
    assert prints("x = 1\nif x:\n    print(x)") == [3]
    assert prints("list(map(print, []))") == [1]
