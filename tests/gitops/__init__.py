"""What GitOps tools make of a job, asked of these tools themselves."""
