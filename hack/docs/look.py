"""Looks at the built site as browsers show it: no page may be wider than a phone or a desk's screen.

`.venv/bin/python hack/docs/look.py [FOLDER]` needs Chromium on the PATH (CHROMIUM names another one) and a site made by
`make docs`; with a folder it also takes a picture of each page there, in both widths, light and dark.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Final

SITE: Final = Path(__file__).resolve().parents[2] / "build" / "docs"
WIDTHS: Final = (1280, 390)
_HARNESS: Final = "look-at-it.html"
_SCRIPT: Final = """<!doctype html><body style="margin:0"><script>
const asked = new URLSearchParams(location.search), wide = [];
async function look(page, width, theme) {
  const frame = document.createElement("iframe");
  frame.style = `display:block;border:0;width:${width}px;height:1600px`;
  frame.src = page;
  await new Promise(done => { frame.onload = done; document.body.append(frame); });
  const shown = frame.contentDocument;
  shown.body.dataset.theme = theme;
  const {scrollWidth, clientWidth} = shown.documentElement;
  if (scrollWidth > clientWidth) wide.push(`${page} is ${scrollWidth} wide, not ${clientWidth}, at ${width}`);
  if (!asked.get("keep")) frame.remove();
}
(async () => {
  for (const page of asked.get("pages").split(","))
    for (const width of asked.get("widths").split(",")) await look(page, Number(width), asked.get("theme") || "light");
  const said = document.createElement("pre");
  said.textContent = "LOOKED" + JSON.stringify(wide) + "DONE";
  if (!asked.get("keep")) document.body.append(said);
})();
</script>"""


class _Server(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the page that looks at others, or with a file of the site."""
        if not self.path.startswith(f"/{_HARNESS}"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(_SCRIPT.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


def browse(address: str, *more: str) -> str:
    """Let Chromium show a page; return its document."""
    quiet = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ("--headless", "--no-sandbox", "--disable-gpu", *quiet, "--disable-sync", f"--user-data-dir={profile}")
        command = [os.environ.get("CHROMIUM", "chromium"), *flags, "--virtual-time-budget=60000", *more, address]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def main(arguments: list[str]) -> int:
    """Look at all pages; return 1 if one is too wide."""
    pages = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{_HARNESS}"
        widths = ",".join(map(str, WIDTHS))
        shown = browse(f"{address}?pages={','.join(pages)}&widths={widths}", "--dump-dom")
        found = re.search(r"<pre>LOOKED(.*)DONE</pre>", shown)
        for page in pages if arguments else ():
            for width, theme in ((width, theme) for width in WIDTHS for theme in ("light", "dark")):
                file = Path(arguments[0]) / f"{page.replace('/', '-').removesuffix('.html')}-{width}-{theme}.png"
                size = f"--window-size={width},1600"
                browse(f"{address}?keep=1&pages={page}&widths={width}&theme={theme}", size, f"--screenshot={file}")
        server.shutdown()
    wide = json.loads(found[1]) if found else ["nothing could be looked at"]
    print("\n".join(wide) or f"{len(pages)} pages fit into {' and '.join(map(str, WIDTHS))} pixels")
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
