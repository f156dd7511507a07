"""The engine versions, instance classes and certificates that the emulated RDS offers."""

import datetime

from store import Fault, action, filters, page

ENGINE = "aurora-postgresql"
# In the order of age; the first of each major is the oldest that is offered.
VERSIONS = ("15.4 15.5 15.6 15.7 15.8 15.10 15.12 16.1 16.2 16.3 16.4 16.6 16.8 17.4 17.5").split()
DEFAULT_VERSION = "16.6"
DEFAULT_OF_MAJOR = {"15": "15.10", "16": "16.6", "17": "17.4"}
LOG_TYPES = ["postgresql", "instance", "iam-db-auth-error"]
AUTHORITIES = ["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"]
VALID_TILL = datetime.datetime(2061, 5, 21, 22, 0, 0, tzinfo=datetime.timezone.utc)

FAMILIES = {
    "r5": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge",
    "r6g": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "r6i": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge",
    "r7g": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "r8g": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge",
    "t3": "medium large",
    "t4g": "medium large",
    "x2g": "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
}
CLASSES = ["db.serverless", *(f"db.{family}.{size}" for family, sizes in FAMILIES.items() for size in sizes.split())]


def major(version):
    return version.split(".")[0]


def family(version):
    return ENGINE + major(version)


def age(version):
    """Versions in their order: 16.10 is younger than 16.4."""
    return [int(part) for part in version.split(".")]


def upgrade_targets(version):
    """Every younger version of this major, and of a later major those that came out no earlier."""
    return [one for one in VERSIONS if age(one) > age(version)]


def offered(class_name, version):
    """Not every class runs every version: db.r8g came with 16.3, db.x2g ended before 17."""
    if class_name.startswith("db.r8g."):
        return age(version) >= age("16.3")
    if class_name.startswith("db.x2g."):
        return age(version) < age("17.0")
    return class_name in CLASSES


def check_version(version):
    if version not in VERSIONS:
        raise Fault("InvalidParameterCombination", f"Cannot find version {version} for {ENGINE}")


def check_class(class_name, version):
    if class_name not in CLASSES:
        raise Fault("InvalidParameterValue", f"Invalid DB Instance class: {class_name}")
    if not offered(class_name, version):
        raise Fault(
            "InvalidParameterCombination",
            f"RDS does not support creating a DB instance with the following combination: DBInstanceClass={class_name}, "
            f"Engine={ENGINE}, EngineVersion={version}.",
        )


def check_authority(identifier):
    if identifier not in AUTHORITIES:
        raise Fault("CertificateNotFound", f"Certificate not found: {identifier}")


def described(version):
    def target(other):
        return {
            "Engine": ENGINE,
            "EngineVersion": other,
            "Description": f"Aurora PostgreSQL (Compatible with PostgreSQL {other})",
            "AutoUpgrade": major(other) == major(version) and other == DEFAULT_OF_MAJOR[major(version)],
            "IsMajorVersionUpgrade": major(other) != major(version),
            "SupportedEngineModes": ["provisioned"],
        }

    return {
        "Engine": ENGINE,
        "MajorEngineVersion": major(version),
        "EngineVersion": version,
        "DBParameterGroupFamily": family(version),
        "DBEngineDescription": "Aurora PostgreSQL",
        "DBEngineVersionDescription": f"Aurora PostgreSQL (Compatible with PostgreSQL {version})",
        "ValidUpgradeTarget": [target(other) for other in upgrade_targets(version)],
        "ExportableLogTypes": LOG_TYPES,
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": False,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": ["s3Import", "s3Export", "Lambda"],
        "Status": "available",
        "SupportsCertificateRotationWithoutRestart": age(version) >= age("15.6"),
        "SupportedCACertificateIdentifiers": AUTHORITIES,
        "ServerlessV2FeaturesSupport": {"MinCapacity": least_capacity(version), "MaxCapacity": 256.0},
    }


def least_capacity(version):
    """Pausing came with 15.7 and 16.3."""
    since = {"15": "15.7", "16": "16.3"}.get(major(version), "17.0")
    return 0.0 if age(version) >= age(since) else 0.5


@action
def describe_db_engine_versions(region, parameters):
    chosen = filters(parameters, "status", "engine-mode", "db-parameter-group-family", "engine", "engine-version")
    wanted = parameters.get("EngineVersion")
    found = []
    for version in VERSIONS:
        if parameters.get("Engine", ENGINE) != ENGINE or ENGINE not in chosen.get("engine", [ENGINE]):
            continue
        if wanted and version != wanted and not version.startswith(wanted + "."):
            continue
        if version not in chosen.get("engine-version", [version]):
            continue
        if family(version) not in chosen.get("db-parameter-group-family", [family(version)]):
            continue
        if parameters.get("DBParameterGroupFamily", family(version)) != family(version):
            continue
        if parameters.get("DefaultOnly"):
            default = DEFAULT_OF_MAJOR.get(major(wanted)) if wanted else DEFAULT_VERSION
            if version != default:
                continue
        found.append(described(version))
    return page(parameters, "DBEngineVersions", found)


@action
def describe_orderable_db_instance_options(region, parameters):
    if parameters["Engine"] != ENGINE:
        return {"OrderableDBInstanceOptions": []}
    wanted = parameters.get("EngineVersion")
    if wanted and wanted not in VERSIONS:
        raise Fault("InvalidParameterCombination", f"Cannot find version {wanted} for {ENGINE}")
    options = []
    for version in VERSIONS:
        if wanted and version != wanted:
            continue
        for class_name in CLASSES:
            if parameters.get("DBInstanceClass", class_name) != class_name or not offered(class_name, version):
                continue
            for storage in ("aurora", "aurora-iopt1"):
                options.append(
                    {
                        "Engine": ENGINE,
                        "EngineVersion": version,
                        "DBInstanceClass": class_name,
                        "LicenseModel": "postgresql-license",
                        "AvailabilityZones": [{"Name": zone} for zone in region.zones()],
                        "MultiAZCapable": False,
                        "Vpc": True,
                        "SupportsStorageEncryption": True,
                        "StorageType": storage,
                        "SupportsEnhancedMonitoring": True,
                        "SupportsIAMDatabaseAuthentication": True,
                        "SupportsPerformanceInsights": True,
                        "SupportedEngineModes": ["provisioned"],
                        "SupportedNetworkTypes": ["IPV4", "DUAL"],
                        "SupportsClusters": True,
                        "SupportsHttpEndpoint": True,
                    }
                )
    return page(parameters, "OrderableDBInstanceOptions", options)


@action
def describe_certificates(region, parameters):
    wanted = parameters.get("CertificateIdentifier")
    if wanted:
        check_authority(wanted)
    found = [
        {
            "CertificateIdentifier": name,
            "CertificateType": "CA",
            "ValidFrom": datetime.datetime(2021, 5, 21, tzinfo=datetime.timezone.utc),
            "ValidTill": VALID_TILL,
            "CertificateArn": f"arn:{region.partition}:rds:{region.name}::cert:{name}",
            "CustomerOverride": False,
        }
        for name in AUTHORITIES
        if wanted in (None, name)
    ]
    return page(parameters, "Certificates", found) | {"DefaultCertificateForNewLaunches": AUTHORITIES[0]}
