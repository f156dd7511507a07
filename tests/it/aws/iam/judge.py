"""What parliament, a linter of IAM policies that is none of ours, says of documents: JSON on stdin, findings on stdout.

Each document comes as {"name", "kind", "role", "document"}. Parliament knows policies of resources, but not those that say
who may become a role:

- They may hold no Resource, for they stand on one. Here they get the ARN of their role, so that all else is looked at.
- Of web identities it knows some by name, but no OIDC provider of an account. A well-formed one is looked at as if it were
  one that it knows, with its conditions: their keys and operators count as they do there.
"""

import json
import re
import sys

from parliament import analyze_policy_string

PROVIDER = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:oidc-provider/([a-z0-9.-]+\.[a-z]+(/[A-Za-z0-9_.-]+)*)")
KNOWN = "accounts.google.com"


def familiar(statement):
    """The same for a provider that parliament knows."""
    federated = statement.get("Principal", {}).get("Federated", [])
    issuers = [found[1] for found in map(PROVIDER.fullmatch, federated) if found]
    if not issuers or len(issuers) != len(federated):
        return statement
    conditions = {
        operator: {
            next((KNOWN + key.removeprefix(one) for one in issuers if key.startswith(one + ":")), key): values
            for key, values in keys.items()
        }
        for operator, keys in statement.get("Condition", {}).items()
    }
    return statement | {"Principal": {"Federated": [KNOWN]}, "Condition": conditions}


def findings(asked):
    document = asked["document"]
    if asked["kind"] == "trust":
        statements = [familiar(one) | {"Resource": asked["role"]} for one in document["Statement"]]
        document = document | {"Statement": statements}
    for finding in analyze_policy_string(json.dumps(document)).findings:
        yield f"{asked['name']}: {finding.issue} {finding.detail}"


print(json.dumps([finding for asked in json.load(sys.stdin) for finding in findings(asked)]))
