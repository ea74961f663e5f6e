"""`engine merge`: the outputs of shards made into one."""

from __future__ import annotations

import argparse

from engine.batch.keeping.merge import merge

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "The errors files beside the parts are merged into the one beside OUTPUT. Exit codes: 0 "
        "every row is done, 1 rows failed or are missing, 2 usage, 3 could not be written."
    )
    parser.add_argument("parts", nargs="+", metavar="PART", help="outputs of engine batch --shard")
    parser.add_argument("-o", "--output", required=True, help="must not exist")
    parser.add_argument("--input", metavar="FILE", help="put the rows in its order, count the rest")
    parser.add_argument(
        "--force", action="store_true", help="merge parts that were run differently"
    )


def run(arguments: argparse.Namespace) -> int:
    """Merge, and say what came of it."""
    merged = merge(arguments.output, arguments.parts, arguments.input, force=arguments.force)
    print(f"{merged.done} rows done, {merged.failed} failed")
    if merged.torn:
        print(f"{merged.torn} torn lines were left out; their rows have no outcome")
    if merged.missing:
        print(
            f"{merged.missing} rows of {arguments.input} have no outcome; run the batch with "
            f"-o {arguments.output} to ask them"
        )
    return 1 if merged.failed or merged.missing or merged.torn else 0
