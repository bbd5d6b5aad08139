"""What is generated around the Helm chart: values, their schema, dashboard, page of metrics, manifests/install.yaml."""
