"""JupyterLab as `make lab` starts it, and the tests: on this host alone, and asking no other."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 - Jupyter's own, there while it reads this file.

# It prints its address instead: over ssh there is no browser to open, or a wrong one.
c.ServerApp.open_browser = False
# Jupyter refuses root unless told that this is meant; whoever captures is root.
c.ServerApp.allow_root = os.geteuid() == 0
# News, updates and extensions are each asked of some server.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
# There overrides.json is, without which people are asked whether they want news.
c.LabApp.app_settings_dir = str(Path(__file__).parent)
# Kernels talk through sockets in a folder of the user's own, not through open ports.
c.KernelManager.transport = "ipc"
# What is left is the address, and what goes wrong.
c.ServerApp.log_level = "WARN"
