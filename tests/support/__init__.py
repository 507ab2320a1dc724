"""What tests share: engines, databases, servers to test against, and readers of what the service says."""
