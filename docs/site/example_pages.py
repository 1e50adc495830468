"""The programs of `examples/`, each with what it says of itself, and the notebooks."""

import ast
import json
from pathlib import Path


def of_program(path: Path) -> list[str]:
    """A program: its docstring, and its text."""
    text = path.read_text(encoding="utf-8")
    about = ast.get_docstring(ast.parse(text)) or ""
    body = text[text.index('"""', 3) + 3 :].strip()
    paragraphs = []
    for paragraph in about.split("\n\n"):
        code = all(line.startswith("    ") for line in paragraph.splitlines())
        paragraphs += ["```", *(line[4:] for line in paragraph.splitlines()), "```", ""] if code else [paragraph, ""]
    return [f"## {path.stem}", "", *paragraphs, '??? note "The program"', "",
            *_indented(["```python", *body.splitlines(), "```"]), ""]  # fmt: skip


def of_notebook(path: Path) -> str:
    """A notebook as a page: its texts, its code, and what the code printed when it was last run."""
    lines: list[str] = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [text, ""]
            continue
        lines += ["```python", text, "```", ""]
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                lines += ["```text", "".join(output["text"]).rstrip(), "```", ""]
    return "\n".join(lines)


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}".rstrip() for line in lines]


def write(into: Path, examples: Path) -> None:
    """Write the pages."""
    lines = ["# Examples", "", "Programs of `examples/`, which the tests run.", ""]
    notebooks = sorted((examples / "notebooks").glob("*.ipynb"))
    if notebooks:
        lines += ["Two notebooks:", ""]
    for path in notebooks:
        page = of_notebook(path)
        (into / f"{path.stem}.md").write_text(page, encoding="utf-8")
        lines.append(f"- [{page.splitlines()[0].lstrip('# ')}]({path.stem}.md)")
    lines.append("")
    for path in sorted(examples.glob("*.py")):
        lines += of_program(path)
    (into / "examples.md").write_text("\n".join(lines), encoding="utf-8")
