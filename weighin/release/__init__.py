"""What changes who is champion: promotion, rollback, import of a version, deployment, approvals and policy."""
