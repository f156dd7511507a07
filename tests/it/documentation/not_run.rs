//! Blocks of commands that no test runs, each with the reason. What `infra` would be told in them is parsed all the same.

const AWS_ALONE: &str = "the emulator restores no clusters, and the page says that it was not tried";

/// The page, the first command of the block, and why it is not run.
pub(crate) const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "sh examples/quickstart.sh",
        "builds a release and installs servers; the second is what runs this",
    ),
    (
        "README.md",
        "infra snapshot \"mongodb://",
        "its machines are made up; docs/mongo.md takes one for real",
    ),
    ("CONTRIBUTING.md", "sh tests/run.sh", "it is what runs this"),
    ("benches/README.md", "cargo bench --bench postgres", "benchmarks are run by hand"),
    ("benches/README.md", "cargo bench --bench aws", "benchmarks are run by hand"),
    ("benches/README.md", "cargo bench --bench mongo", "benchmarks are run by hand"),
    (
        "docs/aws.md",
        "infra import -e prod --adopt",
        "tests/it/aws/adoption.rs adopts on an account that was made by hand",
    ),
    ("docs/backups.md", "aws rds describe-db-clusters", AWS_ALONE),
    ("docs/backups.md", "aws rds restore-db-cluster", AWS_ALONE),
    ("docs/backups.md", "host=$(aws rds", AWS_ALONE),
    ("docs/backups.md", "aws rds modify-db-cluster", AWS_ALONE),
    ("docs/backups.md", "aws rds delete-db-instance", AWS_ALONE),
    ("docs/backups.md", "infra backup list -e prod", "docs/mongo.md runs it; tests/it/backups has the rest"),
    ("docs/backups.md", "mongod --dbpath COPY", "tests/it/mongo/restored.rs opens each copy in this way"),
    ("docs/ci.md", "infra plan -e prod --comment", "tests/it/comment posts to a forge on loopback"),
    (
        "docs/ci.md",
        "infra apply -e prod --expect-digest-from-pr",
        "tests/it/comment/apply.rs does, with a forge on loopback",
    ),
    (
        "docs/connecting.md",
        "infra connect -e prod orders",
        "the page connects on one's own machine below; tests/it/aws/connect.rs does on AWS",
    ),
    (
        "docs/mongo.md",
        "infra snapshot \"mongodb://",
        "its machines are made up; the page takes one for real below",
    ),
    (
        "docs/mongo.md",
        "infra backup run -e prod",
        "the page runs another environment; tests/it/backups has the rest",
    ),
    ("docs/mongo.md", "mongod --dbpath COPY", "tests/it/mongo/restored.rs opens each copy in this way"),
];
