"""`python -m benchmarks.case_study`: makes the data, trains, serves, evaluates and prints. Broken off, it goes on."""

import argparse
from pathlib import Path

from benchmarks.case_study.steps import SHARES, Study, evaluate, make_data, train
from benchmarks.case_study.table import draw, tables

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=_ROOT / "models" / "trammel-tiny.gguf", help="a GGUF file")
    parser.add_argument("--output", type=Path, default=Path("runs/case-study"))
    parser.add_argument("--examples", type=int, default=320)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--picture", type=Path, help="where to draw; by default in the output folder")
    given = parser.parse_args()
    study = Study(given.model, given.output, given.examples, given.epochs)
    make_data(study)
    for share in SHARES:
        train(study, share)
    evaluation = evaluate(study)
    found = tables(study, evaluation)
    (study.folder / "tables.md").write_text(found)
    draw(study, evaluation, given.picture or study.folder / "case-study.png")
    print(found)


main()
