"""What the stories of check.py are told with: boto3 as another client of the emulator."""

import json
import os
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "111122223333"


def client(name, region="eu-central-1"):
    return boto3.client(name, region_name=region, config=Config(retries={"total_max_attempts": 1}))


def control(path, **asked):
    data = json.dumps(asked).encode()
    return json.loads(urllib.request.urlopen(urllib.request.Request(f"{URL}/_emulator/{path}", data)).read())


def refused(code, words, call, **arguments):
    """The call is refused with this code, a message with these words in it, and the right HTTP status."""
    try:
        call(**arguments)
    except ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, (said, code)
        assert words in said["Message"], (said, words)
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"not refused: {code} {words} {arguments}")


class World:
    """A region with a subnet group, in which clusters are made."""

    def __init__(self, region):
        self.region = region
        self.rds = client("rds", region)
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="net", DBSubnetGroupDescription="d", SubnetIds=["subnet-a", "subnet-b", "subnet-c"]
        )

    def base(self, name, **more):
        return {
            "DBClusterIdentifier": name,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "MasterUsername": "infra_master",
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": "net",
            "VpcSecurityGroupIds": ["sg-1"],
        } | more

    def cluster(self, name):
        return self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def instance(self, name):
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def settled(self, name):
        """Reads until it is available twice, and tells what was seen on the way."""
        seen = []
        while seen[-2:] != ["available", "available"]:
            assert len(seen) < 30, seen
            seen.append(self.cluster(name)["Status"])
        return seen

    def instance_settled(self, name):
        seen = []
        while seen[-2:] != ["available", "available"]:
            assert len(seen) < 30, seen
            seen.append(self.instance(name)["DBInstanceStatus"])
        return seen

    def make(self, name, instances=0, **more):
        made = self.rds.create_db_cluster(**self.base(name, **more))["DBCluster"]
        self.settled(name)
        for number in range(1, instances + 1):
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                DBInstanceClass="db.r6g.large",
                Engine="aurora-postgresql",
                PromotionTier=number - 1,
            )
            self.instance_settled(f"{name}-{number}")
        return made
