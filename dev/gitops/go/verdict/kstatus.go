package main

import (
	"fmt"
	"io"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
)

// read decodes as the Kubernetes client does: whole numbers become integers, which kstatus insists on.
func read(input io.Reader) ([]map[string]any, error) {
	text, err := io.ReadAll(input)
	if err != nil {
		return nil, err
	}
	var list []any
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	objects := make([]map[string]any, 0, len(list))
	for index, one := range list {
		object, ok := one.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("element %d of the list is no object", index)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func kstatus(object map[string]any) (any, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return nil, err
	}
	return map[string]string{"status": result.Status.String(), "message": result.Message}, nil
}
