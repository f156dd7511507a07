//! SIGKILL around every call of AWS: the next run goes on from what it finds, and comes to the same end.
