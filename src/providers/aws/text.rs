//! Small things about the texts that AWS writes.

/// The partition of an ARN; `aws` if it is none.
pub fn partition(arn: &str) -> &str {
    let mut parts = arn.split(':');
    match (parts.next(), parts.next()) {
        (Some("arn"), Some(partition)) if !partition.is_empty() => partition,
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions() {
        assert_eq!(partition("arn:aws-cn:iam::111122223333:user/ana"), "aws-cn");
        assert_eq!(partition("not an arn"), "aws");
    }
}
