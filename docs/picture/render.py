#!/usr/bin/env python3
"""Draws what a command printed to a terminal as an SVG: `make.sh` calls it.

Reads text with the 16 colours of a terminal from standard input and prints the picture. Nothing but Python is needed.
"""

import html
import re
import sys

COLOURS = {31: "#f47067", 32: "#6bc46d", 33: "#d4a72c", 34: "#6cb6ff", 35: "#dcbdfb", 36: "#76e3ea"}
PLAIN, FAINT, BACK = "#d0d7de", "#8b949e", "#161b22"
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16
MOST = 100  # characters of a line


def spans(line):
    """Yields the runs of a line with their colour and weight."""
    colour, bold = PLAIN, False
    for text, codes in re.findall(r"([^\x1b]*)(?:\x1b\[([0-9;]*)m)?", line):
        if text:
            yield text, colour, bold
        for code in (codes or "").split(";"):
            if code in ("", "0"):
                if codes is not None and code == "0":
                    colour, bold = PLAIN, False
            elif code == "1":
                bold = True
            elif code == "2":
                colour = FAINT
            else:
                colour = COLOURS.get(int(code), colour)


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    lines = [line if len(line) <= MOST or "\x1b" in line else line[: MOST - 1] + "…" for line in lines]
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = int(max(map(len, bare)) * WIDTH + 2 * MARGIN)
    height = len(lines) * HEIGHT + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>')
    print('<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">')
    for number, line in enumerate(lines):
        y = MARGIN + (number + 0.75) * HEIGHT
        runs = []
        for text, colour, bold in spans(line):
            weight = ' font-weight="bold"' if bold else ""
            runs.append(f'<tspan fill="{colour}"{weight}>{html.escape(text)}</tspan>')
        print(f'<text x="{MARGIN}" y="{y:.0f}">{"".join(runs)}</text>')
    print("</g>\n</svg>")


main()
