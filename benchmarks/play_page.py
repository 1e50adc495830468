"""How long a frame of a page takes, in which an agent plays: a step of everybody, all pictures, and the layout.

    python benchmarks/play_page.py                       # the pretrained agents, at 400 and 1280 pixels; a minute

Needs Chromium. A frame has 16.7 ms at 60 frames a second. In milliseconds: the tenth of the fastest of a hundred, as
other programs share the machine, the median and the longest; and the page's size in kB.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path

from adaptax import experiment
from adaptax.deployment import pretrained

PROBE = """<script>(() => {
  const taken = [];
  for (let i = 0; i < 100 && !adaptaxPlay.over(); i++) {
    const begun = performance.now();
    adaptaxPlay.tick(); adaptaxPlay.render(); document.body.offsetHeight;
    taken.push(performance.now() - begun);
  }
  taken.sort((a, b) => a - b);
  const last = taken.length - 1, shown = [0.1 * last, 0.5 * last, last].map((i) => taken[Math.floor(i)]);
  parent.document.title = JSON.stringify(shown);
})();</script></body>"""


def frames(page: Path, width: int) -> list[float]:
    """The tenth of the fastest, the median and the longest."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as place:
        text = page.read_text(encoding="utf-8").replace("</body>", PROBE)
        (Path(place) / "page.html").write_text(text, encoding="utf-8")
        around = Path(place) / "around.html"
        frame = f'<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        around.write_text(f"<!DOCTYPE html><title></title><body>{frame}</body>", encoding="utf-8")
        # Without virtual time, in which nothing takes any; the outer page is done when the inner one is.
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
        command = [chromium, *flags, f"--user-data-dir={place}/profile", "--window-size=1300,950", around.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", shown)
    assert found is not None
    return list(json.loads(unescape(found[1])))


def main() -> None:
    """Write the pages, and time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=pretrained.NAMES)
    for name in parser.parse_args().names:
        with tempfile.TemporaryDirectory() as place:
            page = experiment.play(name, out=Path(place) / "page.html")
            for width in (400, 1280):
                fast, median, longest = frames(page.path, width)
                times = f"fast {fast:5.1f} ms  median {median:5.1f} ms  longest {longest:5.1f} ms"
                print(f"{name:<16} {width:>5} px  {times}  {page.size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
