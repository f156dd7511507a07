"""What RDS asks of KMS, Secrets Manager and IAM, which are moto's."""

import json
import os
import uuid

from moto.iam.models import iam_backends
from moto.kms.models import KmsBackend, kms_backends
from moto.secretsmanager.models import secretsmanager_backends

from store import SETTINGS, Fault

# Exist in every region from the start, as if somebody had made them before.
ALIASES = set()
# Users and roles that exist although IAM does not list them.
PRINCIPALS = set()
PASSWORD = "EMULATOR_MASTER_PASSWORD"

# How often a role was refused since it was made.
role_refusals = {}


def configure():
    """What exists beforehand, as the variables of this process have it."""
    ALIASES.update(os.environ.get("EMULATOR_KMS_ALIASES", "alias/aurora").split(","))
    PRINCIPALS.update(one for one in os.environ.get("EMULATOR_PRINCIPALS", "").split(",") if one)


_key_id_from_alias = KmsBackend.get_key_id_from_alias


def key_id_from_alias(self, alias_name):
    found = _key_id_from_alias(self, alias_name)
    if found is None and alias_name in ALIASES:
        key = self.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "made before", [])
        self.create_alias(key.id, alias_name)
        found = key.id
    return found


KmsBackend.get_key_id_from_alias = key_id_from_alias


def key_arn(region, given, default):
    """The ARN of a key that was given by its id, its ARN, or the name or ARN of an alias."""
    given = given or default
    backend = kms_backends[region.account][region.name]
    try:
        return backend.describe_key(given).arn
    except Exception as unknown:
        raise Fault(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{given}] does not exist, is not enabled or you do not have permissions to access it.",
        ) from unknown


def role_is_known(region, arn):
    """Whether a role can be used: it exists, and was made long enough ago."""
    if arn in PRINCIPALS:
        return True
    backend = iam_backends[region.account][region.partition]
    role = next((role for role in backend.roles.values() if role.arn == arn), None)
    return role is not None and settled(role.id)


def settled(identity):
    """IAM takes its time to tell the others: the first `role_lag` that ask for a new role do not find it."""
    refused = role_refusals.get(identity, 0)
    if refused < SETTINGS.role_lag:
        role_refusals[identity] = refused + 1
        return False
    return True


def make_secret(region, cluster, key):
    """The managed secret of a cluster's master; it is not active before there is an instance."""
    secrets = secretsmanager_backends[region.account][region.name]
    user = cluster.shown["MasterUsername"]
    secret = secrets.create_managed_secret(
        "rds",
        f"rds!cluster-{uuid.uuid4()}",
        secret_string=secret_value(user),
        description=f"The secret associated with the primary RDS DB cluster: {cluster.shown['DBClusterArn']}",
        kms_key_id=key,
    )
    cluster.shown["MasterUserSecret"] = {
        "SecretArn": secret.arn,
        "SecretStatus": "creating",
        "KmsKeyId": key_arn(region, key, "alias/aws/secretsmanager"),
    }


def secret_value(user):
    return json.dumps({"username": user, "password": os.environ.get(PASSWORD, "of-the-emulator")})


def activate_secret(region, cluster):
    """A secret is active when there is an instance whose master it can log in as."""
    secret = cluster.shown.get("MasterUserSecret")
    if secret and any(one.status == "available" for one in region.members(cluster.name)):
        secret["SecretStatus"] = "active"


def drop_secret(region, cluster):
    secret = cluster.shown.pop("MasterUserSecret", None)
    if secret:
        secrets = secretsmanager_backends[region.account][region.name].secrets
        for name in [name for name, one in secrets.items() if one.arn == secret["SecretArn"]]:
            secrets.pop(name)
