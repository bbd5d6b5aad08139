"""`python -m dev.chart [--check]`, called by `make generate` and `make verify`."""

import argparse
import sys

from dev.chart.files import generated_files


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    check = parser.parse_args().check
    stale = False
    for file in generated_files():
        text = file.make()
        if check:
            if not file.path.exists() or file.path.read_text() != text:
                stale = True
                print(f"{file.path} is not up to date: run `make generate`", file=sys.stderr)
        else:
            file.path.write_text(text)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
