"""Reads pages as a browser does and says what in them is not of this program: elements, handlers, links, scripts.

Usage: check_html.py PAGE...
Exit status 1 when something was found.
"""

import json
import sys

import html5lib

# Every element that the templates and the pictures in them have.
OWN = set(
    "a article b body br button caption circle code dd details div dl dt em fieldset figcaption figure footer g h1 h2 h3 h4 h5 head "
    "header html img input label legend li line link main meta nav noscript ol option output p path polyline pre rect "
    "section select small span strong style sub summary sup svg table tbody td text tfoot th thead title tr tspan ul script".split()
)
# Where an address is followed or loaded.
ADDRESSES = {"href", "src", "action", "formaction", "data", "xlink:href", "srcset", "poster", "background"}
# The shown texts that prove that hostile input arrived at all.
MARKS = ("np-injected", "np()")


def faults(page):
    text = open(page, encoding="utf-8").read()
    tree = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False).parse(text)
    for element in tree.iter():
        if not isinstance(element.tag, str):
            yield "a comment"
            continue
        name = element.tag.rsplit("}")[-1]
        if name not in OWN:
            yield f"an element {name}"
        for key, value in element.attrib.items():
            key = key.rsplit("}")[-1]
            if key.startswith("on"):
                yield f"a handler {key}"
            if key in ADDRESSES and ":" in value.split("/")[0].split("#")[0]:
                if not value.startswith(("data:image/jpeg;base64,", "data:,")):
                    yield f"an address {key}={value[:60]}"
        if name == "script":
            body = element.text or ""
            if element.get("type") == "application/json":
                json.loads(body)
            elif any(mark in body for mark in MARKS):
                yield "a script that is not ours"


def main(pages):
    found = [f"{page}: {fault}" for page in pages for fault in faults(page)]
    print("\n".join(found) or f"{len(pages)} pages are whole")
    return 1 if found else 0


sys.exit(main(sys.argv[1:]))
