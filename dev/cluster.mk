# The one-machine cluster and its images (dev/cluster, dev/images). Included by the Makefile.
.PHONY: tools cluster cluster-down images
tools: $(VENV)/.installed  ## build Kubernetes, etcd, CoreDNS, Helm and KWOK from their Go modules (cached)
	@$(BIN)/python -m dev.cluster build

cluster: $(VENV)/.installed  ## a real Kubernetes on this machine, with a registry; needs root
	@$(BIN)/python -m dev.cluster up

cluster-down: $(VENV)/.installed  ## stop it and remove everything it left
	@$(BIN)/python -m dev.cluster down

images: $(VENV)/.installed  ## build operator and trainer image and push them to the cluster's registry
	@$(BIN)/python -m dev.images push
