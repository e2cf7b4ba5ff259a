"""A page on paper, as Chromium prints it. The page holds no script, and asks for nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from weighin.errors import SystemFault

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60
OPTIONS = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
    "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip


def printed(html: str) -> bytes:
    """Return the PDF of a page.

    Errors: `SystemFault` where no browser is on the path, or it prints nothing within a minute.
    """
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SystemFault(
            "no browser is there to print a PDF with",
            "PATH",
            "Install Chromium (Debian: apt-get install chromium), or leave `--pdf` out and print the HTML.",
        )
    with tempfile.TemporaryDirectory() as scratch:
        page, paper = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        page.write_text(html, encoding="utf-8")
        # Chromium's own walls need rights that root in a container has not; the page runs nothing.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        where = [f"--user-data-dir={scratch}/profile", f"--print-to-pdf={paper}", page.as_uri()]
        command = [found, *OPTIONS, *root, *where]
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS, check=True)
        except subprocess.CalledProcessError as error:
            raise SystemFault(f"the browser ended with {error.returncode}", found, "Print the HTML by hand.") from error
        except subprocess.TimeoutExpired as error:
            raise SystemFault(
                f"the browser printed nothing in {SECONDS} s", found, "Print the HTML by hand."
            ) from error
        data = paper.read_bytes() if paper.is_file() else b""
    if not data.startswith(b"%PDF-"):
        raise SystemFault("the browser printed no PDF", found, "Print the HTML by hand.")
    return data
