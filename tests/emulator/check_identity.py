"""The story of IAM."""

import json

from check_world import ACCOUNT, client, control, refused


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(resources):
    statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=8)


def identity(_):
    iam = client("iam")
    ana = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ana"}
    assert iam.create_role(
        RoleName="One", Path="/infra/test/", AssumeRolePolicyDocument=trust(ana), Tags=[{"Key": "a", "Value": "b"}]
    )["Role"]["Arn"].endswith(":role/infra/test/One")
    assert (
        refused("EntityAlreadyExists", "one", iam.create_role, RoleName="one", AssumeRolePolicyDocument=trust(ana))
        == 409
    )
    refused("MalformedPolicyDocument", "invalid Json", iam.create_role, RoleName="x", AssumeRolePolicyDocument="{")
    refused(
        "MalformedPolicyDocument",
        "Principal",
        iam.create_role,
        RoleName="x",
        AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
        ),
    )
    refused(
        "MalformedPolicyDocument",
        "Invalid principal in policy",
        iam.create_role,
        RoleName="x",
        AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}),
    )
    refused("ValidationError", "64", iam.create_role, RoleName="x" * 65, AssumeRolePolicyDocument=trust(ana))
    refused(
        "LimitExceeded",
        "2048",
        iam.update_assume_role_policy,
        RoleName="One",
        PolicyDocument=trust({"AWS": [f"arn:aws:iam::{ACCOUNT}:user/ana"] * 60}),
    )
    refused(
        "NoSuchEntity",
        "Scope ARN",
        iam.create_role,
        RoleName="x",
        AssumeRolePolicyDocument=trust(ana),
        PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/none",
    )
    wide = [
        f"arn:aws:rds-db:eu-central-1:{ACCOUNT}:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/u{number}"
        for number in range(100)
    ]
    iam.put_role_policy(RoleName="One", PolicyName="connect", PolicyDocument=policy(wide))
    assert (
        refused(
            "LimitExceeded",
            "10240",
            iam.put_role_policy,
            RoleName="One",
            PolicyName="more",
            PolicyDocument=policy(wide),
        )
        == 409
    )
    assert refused("DeleteConflict", "policies", iam.delete_role, RoleName="One") == 409
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy("*"))["Policy"]["Arn"]
    iam.create_role(
        RoleName="Two",
        Path="/infra/test/",
        AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:role/infra/test/One"}),
        PermissionsBoundary=boundary,
    )
    iam.attach_role_policy(
        RoleName="Two", PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
    )
    whole = iam.get_account_authorization_details(Filter=["Role", "LocalManagedPolicy"])
    one, two = whole["RoleDetailList"]
    assert (
        one["Tags"] == [{"Key": "a", "Value": "b"}]
        and one["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == ana
    )
    assert two["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert two["AttachedManagedPolicies"][0]["PolicyName"] == "AmazonRDSEnhancedMonitoringRole"
    assert [one["PolicyName"] for one in whole["Policies"]] == ["boundary"]
    first = iam.get_account_authorization_details(Filter=["Role"], MaxItems=1)
    assert first["IsTruncated"] and len(first["RoleDetailList"]) == 1
    second = iam.get_account_authorization_details(Filter=["Role"], MaxItems=1, Marker=first["Marker"])
    assert not second["IsTruncated"] and second["RoleDetailList"][0]["RoleName"] == "Two"
    iam.delete_role_policy(RoleName="One", PolicyName="connect")
    iam.delete_role(RoleName="One")
    orphan = iam.get_role(RoleName="Two")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert orphan.startswith("AROA"), orphan
    control("settings", roles_quota=1)
    assert iam.get_account_summary()["SummaryMap"]["RolesQuota"] == 1
    refused("LimitExceeded", "RolesPerAccount: 1", iam.create_role, RoleName="x", AssumeRolePolicyDocument=trust(ana))
    control("settings", roles_quota=None, role_lag=1)
    fresh = iam.create_role(RoleName="Three", AssumeRolePolicyDocument=trust(ana))["Role"]["Arn"]
    refused(
        "MalformedPolicyDocument",
        "Invalid principal",
        iam.update_assume_role_policy,
        RoleName="Two",
        PolicyDocument=trust({"AWS": fresh}),
    )
    iam.update_assume_role_policy(RoleName="Two", PolicyDocument=trust({"AWS": fresh}))
    control("settings", role_lag=0)
