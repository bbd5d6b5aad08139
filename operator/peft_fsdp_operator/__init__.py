"""The operator: observes jobs and their pods, decides what follows, and acts through the API server."""
