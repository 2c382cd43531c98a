"""`xyra worker`."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

from deploy.flows import FLOWS
from deploy.local.place import running
from flows.core.errors import WrongSetting


def work(environ: Mapping[str, str], flow: str, slot: int, port: int, data_dir: str) -> int:
    """Run a flow in this process until SIGTERM; returns the process's exit code.

    Raises:
        WrongSetting: there is no such flow, or a setting is wrong.

    """
    if flow not in FLOWS:
        raise WrongSetting(f"There is no flow {flow!r}. There is: {', '.join(FLOWS)}.")
    settings = running(environ, data_dir)
    if port:
        settings = replace(settings, worker_port=port - slot)
    from flows.engine.worker import run

    code: int = run(import_module(FLOWS[flow]).FLOW, settings, slot)
    return code
