"""Asserts what infra relies on in the emulator, with boto3 as another client: python check.py

The emulator is found through AWS_ENDPOINT_URL. Every function is a story in a region of its own, so that none sees
another's clusters.
"""

import sys
import traceback

sys.dont_write_bytecode = True

from check_clusters import changes, creation, deletion, pages, refusals, upgrades
from check_identity import identity
from check_members import instances, others, parameters, scaling, subnets
from check_world import World

STORIES = (creation, refusals, changes, upgrades, instances, parameters, subnets, deletion, pages, scaling, others)
REGIONS = (
    "eu-central-1 eu-west-1 eu-west-2 eu-west-3 eu-north-1 us-east-1 us-east-2 us-west-1 us-west-2 ap-south-1 ap-northeast-1"
).split()


def main():
    failed = []
    for story, region in zip((*STORIES, identity), (*REGIONS, None), strict=True):
        try:
            story(World(region) if region else None)
        except Exception as error:
            traceback.print_exc()
            failed.append(f"{story.__name__}: {error!r}")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
