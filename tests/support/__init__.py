"""What several tests share: servers, small projects, evidence and registries of a test's own."""
