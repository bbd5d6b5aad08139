"""What is generated around the Helm chart: values.yaml, values.schema.json and manifests/install.yaml."""
