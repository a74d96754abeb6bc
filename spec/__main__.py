"""``python -m spec``: write every generated file. ``python -m spec diff``: what the installed SDK changes, in words."""

import sys

from spec import build
from spec.difference import report


def main(words: list[str]) -> int:
    """Run one of the two; 2 for anything else."""
    if words == ["diff"]:
        committed = (build.ROOT / build.DERIVED).read_bytes()
        print(report(committed, build.derived()))
        return 0
    if words:
        print("python -m spec [diff]", file=sys.stderr)
        return 2
    written = build.write()
    print("\n".join(written) if written else "nothing has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
