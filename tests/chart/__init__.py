"""Facts about the Helm chart, the manifests and the examples, as Helm renders them; no cluster needed."""
