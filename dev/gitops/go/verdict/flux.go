package main

import (
	"bytes"
	"context"
	"encoding/json"

	helm "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fluxHealth judges by the CEL expressions of a Kustomization's `healthCheckExprs`, with Flux's own evaluator.
func fluxHealth(expressions string) (verdict, error) {
	var checks kustomize.HealthCheckExpressions
	if err := decodeStrictly([]byte(expressions), &checks); err != nil {
		return nil, err
	}
	evaluator, err := cel.NewStatusEvaluator(&checks)
	if err != nil {
		return nil, err
	}
	return func(object map[string]any) (any, error) {
		result, err := evaluator.Evaluate(context.Background(), &unstructured.Unstructured{Object: object})
		if err != nil {
			return nil, err
		}
		return map[string]string{"status": result.Status.String(), "message": result.Message}, nil
	}, nil
}

// helmRelease gives back what Flux's type keeps of the object, and refuses fields that it does not know. Its CRD is in
// no Go module that can be had, so no API server can be asked.
func helmRelease(object map[string]any) (any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var release helm.HelmRelease
	return release, decodeStrictly(text, &release)
}

func decodeStrictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
