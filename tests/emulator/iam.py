"""IAM as moto has it, with the checks, quotas and pages that moto leaves out."""

import fnmatch
import functools
import json
import re
import urllib.parse

from moto.core.responses import ActionResult
from moto.iam.models import IAMBackend, ManagedPolicy
from moto.iam.responses import IamResponse

from keys import PRINCIPALS, settled
from store import SETTINGS, Fault

TRUST_SIZE, INLINE_SIZE, MANAGED_SIZE, ATTACHED = 2048, 10240, 6144, 10
ACCOUNT = re.compile(r"(arn:aws[a-z-]*:iam::)?(\d{12})(:root)?")


def size(document):
    """White space is not counted."""
    return len(re.sub(r"\s", "", document))


def malformed(message):
    return Fault("MalformedPolicyDocument", message)


def before(name):
    """Runs a check in front of one of moto's actions."""

    def wrap(check):
        original = getattr(IamResponse, name)

        @functools.wraps(original)
        def checked(self):
            check(self)
            return original(self)

        setattr(IamResponse, name, checked)
        return check

    return wrap


def entities(backend):
    return [*backend.roles.values(), *backend.users.values()]


def check_trust(backend, document, account):
    """A trust document as AWS accepts it: valid, with principals, all of which exist."""
    if size(document) > TRUST_SIZE:
        raise Fault("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE}")
    try:
        parsed = json.loads(document)
        statements = parsed["Statement"]
        statements = [statements] if isinstance(statements, dict) else statements
    except (ValueError, KeyError, TypeError) as error:
        raise malformed("This policy contains invalid Json") from error
    if not isinstance(statements, list) or not all(isinstance(one, dict) for one in statements) or not statements:
        raise malformed("Syntax errors in policy.")
    if parsed.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise malformed("The policy must contain a valid version string")
    for statement in statements:
        check_statement(backend, statement, account)


def check_statement(backend, statement, account):
    known = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"}
    if "Resource" in statement or "NotResource" in statement:
        raise malformed("Has prohibited field Resource")
    if set(statement) - known or statement.get("Effect") not in ("Allow", "Deny"):
        raise malformed("Syntax errors in policy.")
    if "Principal" not in statement and "NotPrincipal" not in statement:
        raise malformed("Missing required field Principal")
    actions = statement.get("Action", statement.get("NotAction"))
    if not actions:
        raise malformed("Missing required field Action")
    for one in [actions] if isinstance(actions, str) else actions:
        if not one.lower().startswith("sts:"):
            raise malformed("AssumeRole policy may only specify STS AssumeRole actions.")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal:
        raise malformed("Invalid principal in policy.")
    for kind, named in principal.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise malformed(f'Invalid principal in policy: "{kind}"')
        for one in [named] if isinstance(named, str) else named:
            if not principal_exists(backend, kind, one, account):
                raise malformed(f'Invalid principal in policy: "{kind}":"{one}"')


def principal_exists(backend, kind, named, account):
    if kind == "Service":
        return re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", named) is not None
    if kind == "Federated":
        return re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:(oidc|saml)-provider/.+", named) is not None or "." in named
    if kind != "AWS" or named == "*" or ACCOUNT.fullmatch(named):
        return True
    found = re.fullmatch(r"arn:aws[a-z-]*:(iam|sts)::(\d{12}):(user|role|assumed-role|federated-user)/.+", named)
    if not found:
        return False
    if found[2] != account or found[1] == "sts" or named in PRINCIPALS:
        return True
    entity = next((one for one in entities(backend) if one.arn == named), None)
    return entity is not None and settled(entity.id)


def stored_trust(document, partition):
    """The number of an account is kept as the name of its root."""
    return re.sub(r'("AWS"\s*:\s*)"(\d{12})"', rf'\1"arn:{partition}:iam::\2:root"', document)


def check_boundary(backend, arn):
    if arn and not arn.startswith("arn:aws:iam::aws:policy/") and arn not in backend.managed_policies:
        raise Fault("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.")


@before("create_role")
def check_create_role(self):
    name, backend = self._get_param("RoleName"), self.backend
    if not re.fullmatch(r"[\w+=,.@-]{1,64}", name, re.ASCII):
        raise Fault(
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleName' failed to satisfy constraint: Member must have "
            "length less than or equal to 64",
        )
    path = self._get_param("Path") or "/"
    if not re.fullmatch(r"/([\x21-\x7e]+/)?", path) or len(path) > 512:
        raise Fault("ValidationError", f"The specified value for path is invalid: {path}")
    if any(role.name.lower() == name.lower() for role in backend.roles.values()):
        SETTINGS.unlisted = [one for one in SETTINGS.unlisted if one != name]
        raise Fault("EntityAlreadyExists", f"Role with name {name} already exists.")
    quota = SETTINGS.roles_quota or backend.account_summary._roles_quota
    if len(backend.roles) >= quota:
        raise Fault("LimitExceeded", f"Cannot exceed quota for RolesPerAccount: {quota}")
    check_trust(backend, self._get_param("AssumeRolePolicyDocument"), self.current_account)
    check_boundary(backend, self._get_param("PermissionsBoundary"))
    duration = int(self._get_param("MaxSessionDuration") or 3600)
    if not 3600 <= duration <= 43200:
        raise Fault("ValidationError", f"Value '{duration}' at 'maxSessionDuration' failed to satisfy constraint")


@before("update_assume_role_policy")
def check_update_trust(self):
    self.backend.get_role(self._get_param("RoleName"))
    check_trust(self.backend, self._get_param("PolicyDocument"), self.current_account)


def update_trust(self, role_name, policy_document):
    """moto's own check knows fewer actions than AWS does; ours was before."""
    self.get_role(role_name).assume_role_policy_document = stored_trust(policy_document, self.partition)


_create_role = IAMBackend.create_role


def create_role(self, *arguments, **named):
    role = _create_role(self, *arguments, **named)
    role.assume_role_policy_document = stored_trust(role.assume_role_policy_document, self.partition)
    return role


IAMBackend.create_role = create_role
IAMBackend.update_assume_role_policy = update_trust


@before("put_role_policy")
def check_put_role_policy(self):
    role = self.backend.get_role(self._get_param("RoleName"))
    name, document = self._get_param("PolicyName"), self._get_param("PolicyDocument")
    if not re.fullmatch(r"[\w+=,.@-]{1,128}", name, re.ASCII):
        raise Fault("ValidationError", f"Value '{name}' at 'policyName' failed to satisfy constraint")
    others = sum(size(other) for key, other in role.policies.items() if key != name)
    if others + size(document) > INLINE_SIZE:
        raise Fault("LimitExceeded", f"Maximum policy size of {INLINE_SIZE} bytes exceeded for role {role.name}")


@before("put_role_permissions_boundary")
def check_put_boundary(self):
    self.backend.get_role(self._get_param("RoleName"))
    check_boundary(self.backend, self._get_param("PermissionsBoundary"))


@before("create_policy")
def check_create_policy(self):
    if size(self._get_param("PolicyDocument")) > MANAGED_SIZE:
        raise Fault("LimitExceeded", f"Cannot exceed quota for PolicySize: {MANAGED_SIZE}")


@before("delete_policy")
def check_delete_policy(self):
    policy = self.backend.managed_policies.get(self._get_param("PolicyArn"))
    if policy is not None and policy.attachment_count:
        raise Fault("DeleteConflict", "Cannot delete a policy attached to entities.")


@before("attach_role_policy")
def check_attach(self):
    arn, backend = self._get_param("PolicyArn"), self.backend
    role = backend.get_role(self._get_param("RoleName"))
    if arn not in role.managed_policies and len(role.managed_policies) >= ATTACHED:
        raise Fault("LimitExceeded", f"Cannot exceed quota for PoliciesPerRole: {ATTACHED}")
    if arn.startswith("arn:aws:iam::aws:policy/") and arn not in backend.managed_policies:
        # Those of AWS exist everywhere; only their names matter here.
        path, _, name = arn.removeprefix("arn:aws:iam::aws:policy").rpartition("/")
        document = json.dumps({"Version": "2012-10-17", "Statement": []})
        policy = ManagedPolicy(name, "aws", backend.region_name, document=document, path=path + "/")
        backend.managed_policies[arn] = policy


@before("delete_role")
def check_delete_role(self):
    """Whoever trusted the role now trusts nobody: its name becomes its identity, as in AWS."""
    role = self.backend.get_role(self._get_param("RoleName"))
    if role.policies or role.managed_policies:
        return
    for other in self.backend.roles.values():
        if other is not role:
            other.assume_role_policy_document = other.assume_role_policy_document.replace(
                f'"{role.arn}"', f'"{role.id}"'
            )


def get_account_summary(self):
    answer = dict(self.backend.get_account_summary().summary_map)
    if SETTINGS.roles_quota:
        answer["RolesQuota"] = SETTINGS.roles_quota
    return ActionResult({"SummaryMap": answer})


IamResponse.get_account_summary = get_account_summary


def encoded(document):
    return urllib.parse.quote(document, safe="")


def role_detail(role):
    """As AWS tells it here: the documents percent-encoded, no description, no session duration."""
    detail = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.create_date,
        "AssumeRolePolicyDocument": encoded(role.assume_role_policy_document),
        "InstanceProfileList": [],
        "RolePolicyList": [
            {"PolicyName": name, "PolicyDocument": encoded(document)}
            for name, document in sorted(role.policies.items())
        ],
        "AttachedManagedPolicies": role.attached_managed_policies,
        "Tags": role.tags,
        "RoleLastUsed": {},
    }
    if role.permissions_boundary:
        detail["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": role.permissions_boundary_arn,
        }
    return detail


def policy_detail(policy):
    versions = [
        {
            "VersionId": version.version_id,
            "IsDefaultVersion": version.is_default,
            "CreateDate": version.create_date,
            "Document": encoded(version.document),
        }
        for version in policy.versions
    ]
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default_version_id,
        "AttachmentCount": policy.attachment_count,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.create_date,
        "UpdateDate": policy.update_date,
        "PolicyVersionList": versions,
    }


def get_account_authorization_details(self):
    chosen = self._get_param("Filter") or ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"]
    kinds = {"User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"}
    if set(chosen) - kinds:
        raise Fault("ValidationError", f"Value '{chosen}' at 'filter' failed to satisfy constraint: {sorted(kinds)}")
    backend, everything = self.backend, []
    for kind, key, found in (
        ("User", "UserDetailList", backend.users.values()),
        ("Group", "GroupDetailList", backend.groups.values()),
        ("Role", "RoleDetailList", backend.roles.values()),
    ):
        if kind in chosen:
            ordered = sorted((one for one in found if one.name not in SETTINGS.unlisted), key=lambda one: one.name)
            everything += [(key, role_detail(one) if kind == "Role" else one) for one in ordered]
    for policy in sorted(backend.managed_policies.values(), key=lambda one: one.arn):
        kind = "AWSManagedPolicy" if ":iam::aws:" in policy.arn else "LocalManagedPolicy"
        if kind in chosen:
            everything.append(("Policies", policy_detail(policy)))
    limit, marker = int(self._get_param("MaxItems") or 100), self._get_param("Marker") or "0"
    if not 1 <= limit <= 1000:
        raise Fault("ValidationError", f"Value '{limit}' at 'maxItems' failed to satisfy constraint")
    if not marker.isdigit():
        raise Fault("ValidationError", "Invalid Marker.")
    start = int(marker)
    answer = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for key, one in everything[start : start + limit]:
        answer[key].append(one)
    answer["IsTruncated"] = start + limit < len(everything)
    if answer["IsTruncated"]:
        answer["Marker"] = str(start + limit)
    return ActionResult(answer)


IamResponse.get_account_authorization_details = get_account_authorization_details


def simulate_principal_policy(self):
    """By what the test denies alone: policies are not read."""
    names = self._get_param("ActionNames", [])
    resources = self._get_param("ResourceArns", []) or ["*"]
    if not names:
        raise Fault("InvalidInput", "ActionNames must be given")
    denied = [name for name in names if any(fnmatch.fnmatchcase(name, one) for one in SETTINGS.denied)]
    results = [
        {
            "EvalActionName": name,
            "EvalResourceName": resource,
            "EvalDecision": "implicitDeny" if name in denied else "allowed",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for name in names
        for resource in resources
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


IamResponse.simulate_principal_policy = simulate_principal_policy
