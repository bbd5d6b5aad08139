// gitops-verdict says of objects what GitOps tools say of them: kstatus, which Flux waits by, and scripts in the Lua
// interpreter of Argo CD.
//
//	gitops-verdict kstatus           < objects.json   the status and message that kstatus computes of each
//	gitops-verdict flux-health EXPRS < objects.json   the status by the expressions of a Kustomization, given as JSON
//	gitops-verdict helmrelease       < objects.json   each as a HelmRelease of Flux; unknown fields are an error
//	gitops-verdict lua SCRIPT        < objects.json   what the script returns for each as `obj`
//
// All read a JSON list and write a JSON list. tests/gitops runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type verdict func(object map[string]any) (any, error)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-verdict:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	judge, err := choose(arguments)
	if err != nil {
		return err
	}
	objects, err := read(os.Stdin)
	if err != nil {
		return err
	}
	verdicts := make([]any, 0, len(objects))
	for index, object := range objects {
		given, err := judge(object)
		if err != nil {
			return fmt.Errorf("object %d: %w", index, err)
		}
		verdicts = append(verdicts, given)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func choose(arguments []string) (verdict, error) {
	switch {
	case len(arguments) == 1 && arguments[0] == "kstatus":
		return kstatus, nil
	case len(arguments) == 1 && arguments[0] == "helmrelease":
		return helmRelease, nil
	case len(arguments) == 2 && arguments[0] == "flux-health":
		return fluxHealth(arguments[1])
	case len(arguments) == 2 && arguments[0] == "lua":
		script, err := os.ReadFile(arguments[1])
		return func(object map[string]any) (any, error) { return runLua(string(script), object) }, err
	}
	return nil, fmt.Errorf("usage: gitops-verdict kstatus | flux-health EXPRS | helmrelease | lua SCRIPT")
}
