"""Runs a notebook as a Seed job: run_notebook.py NOTEBOOK FOLDER NAME=VALUE …

The values go to the cell with the tag "parameters". The notebook as it was executed is written to FOLDER, also when a cell
fails. Then the exit code is what the failed cell's metadata say under "code", and 5 if they say nothing.
"""

import json
import sys
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

NO_CODE = 5


def typed(text):
    """Numbers as numbers; paths and all other texts as they are."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float)) else text


def main(notebook, folder, *pairs):
    parameters = {name: typed(value) for name, value in (pair.split("=", 1) for pair in pairs)}
    executed = Path(folder) / f"EXECUTED_{Path(notebook).name}"
    try:
        papermill.execute_notebook(
            notebook, executed, {**parameters, "output_dir": folder}, kernel_name="python3", progress_bar=False, log_output=True
        )
    except PapermillExecutionError as error:
        print(f"{error.ename}: {error.evalue}", file=sys.stderr)
        cells = nbformat.read(executed, as_version=4).cells
        failed = next(cell for cell in cells if cell.metadata.get("papermill", {}).get("exception"))
        return failed.metadata.get("code", NO_CODE)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
