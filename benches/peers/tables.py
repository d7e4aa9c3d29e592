"""Tables in Markdown, and their place in the document."""
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"

# Per kind of score: its columns and how to print the mean and the worst over the phantoms.
SCORES = [
    ("dice", "Dice", "{:.4f}", min),
    ("hd95", "HD95 mm", "{:.2f}", max),
    ("extra", "too much ml", "{:.0f}", max),
    ("missing", "missing ml", "{:.0f}", max),
    ("r", "field r", "{:.4f}", min),
    ("residual", "residual %", "{:.2f}", max),
    ("cjv", "CJV", "{:.3f}", max),
    ("ideal", "ideal CJV", "{:.3f}", max),
    ("mean", "error mean mm", "{:.4f}", max),
    ("p95", "95 % mm", "{:.4f}", max),
    ("max", "max mm", "{:.4f}", max),
]


def number(value, form="{:.2f}"):
    return "–" if value is None else form.format(value)


def scored(tool, key, form, worst):
    """The mean over the phantoms, and the worst of them if there are several."""
    values = [s[key] for s in tool.scores]
    if not values:
        return "–"
    mean = form.format(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({form.format(worst(values))})"


def row(tool, first, columns):
    failed = next((r.error for r in tool.runs if r.error), None)
    if failed:
        return f"| {tool.name} | did not run: {failed.replace('|', '/')} |" + " |" * (6 + len(columns))
    cells = [tool.name, len(tool.runs), number(tool.median("wall")), number(tool.median("core")), number(tool.median("cpu")),
             number(tool.median("peak"), "{:.0f}")]
    cells += [number(tool.ratio(what, first), "{:.1f}×") for what in ("wall", "cpu")]
    cells += [scored(tool, key, form, worst) for key, _, form, worst in columns]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(title, tools):
    """The tools of one piece of work; the first is ours, and the ratios are to it."""
    columns = [c for c in SCORES if any(c[0] in s for t in tools for s in t.scores)]
    names = ["program", "runs", "wall s", "step s", "CPU s", "peak MB", "wall", "CPU", *(name for _, name, _, _ in columns)]
    lines = [f"### {title}\n", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    return "\n".join(lines + [row(t, tools[0], columns) for t in tools])


def document(path, text):
    """Puts the tables between the markers of the document."""
    whole = path.read_text()
    before, rest = whole.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
