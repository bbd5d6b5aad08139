"""`python -m tests.golden [--check]`, called by `make generate` and `make verify`."""

import sys

from tests.golden.rendered import golden_files, present_files


def main() -> int:
    wanted = dict(golden_files())
    left_over = present_files() - set(wanted)
    if "--check" not in sys.argv[1:]:
        for path, text in wanted.items():
            path.write_text(text)
        for path in left_over:
            path.unlink()
        return 0
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in sorted([*stale, *left_over]):
        print(f"{path} is not up to date: run `make generate`", file=sys.stderr)
    return int(bool(stale or left_over))


if __name__ == "__main__":
    sys.exit(main())
